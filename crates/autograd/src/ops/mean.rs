//! `y = Σ x / n` over all elements, or over one axis: a sum and a scaling.

use crate::Var;

impl Var<'_> {
    /// The mean of all elements: a scalar.
    #[track_caller]
    pub fn mean(self) -> Self {
        self.sum().scale(1.0 / self.shape().len() as f64)
    }

    /// The mean along one axis, which disappears.
    #[track_caller]
    pub fn mean_axis(self, axis: usize) -> Self {
        let count = self.shape().dims().get(axis).copied().unwrap_or(1);
        self.sum_axis(axis).scale(1.0 / count as f64)
    }
}

#[cfg(test)]
mod tests {
    use crate::Case;
    use crate::gradcheck::check_case;

    #[test]
    fn means_are_sums_divided_by_their_counts() -> descant_tensor::Result<()> {
        let cases = [
            Case::new("all", &[&[2, 3]], |_, x| x[0].mean()).reference(|_, x| x[0].sum() / 6.0),
            Case::new("axis", &[&[2, 4, 3]], |_, x| x[0].mean_axis(1)).reference(|_, x| x[0].sum_axis(1) / 4.0),
        ];
        for case in cases {
            assert!(check_case(&case)?.iter().all(|row| row.passes()), "{}", case.name);
        }
        Ok(())
    }
}
