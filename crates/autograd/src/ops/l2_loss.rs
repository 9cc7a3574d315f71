//! `L = Σᵢ ‖xᵢ - eᵢ‖²`, of primitives.

use crate::Var;

impl Var<'_> {
    /// The squared distance of each predicted vector from its target, summed over rows: `self[N, D]` and `target[N, D]` to
    /// a scalar.
    #[track_caller]
    pub fn l2_loss(self, target: Self) -> Self {
        if self.shape() != target.shape() {
            return self.graph().fail("l2_loss", "expected x[N, D] and e[N, D]", &[self, target]);
        }
        (self - target).square().sum()
    }
}

#[cfg(test)]
mod tests {
    use crate::gradcheck::check_case;
    use crate::{Case, Tape};

    #[test]
    fn it_is_the_squared_distance_and_refuses_to_broadcast() -> descant_tensor::Result<()> {
        let case = Case::new("l2", &[&[3, 4], &[3, 4]], |_, x| x[0].l2_loss(x[1]));
        let case = case.reference(|_, x| (x[0] * x[0] - x[0] * x[1] * 2.0 + x[1] * x[1]).sum());
        assert!(check_case(&case)?.iter().all(|row| row.passes()));

        let mut parameters = crate::Parameters::new(descant_tensor::DType::F32);
        let (x, e) = (parameters.add("x", [3, 4]), parameters.add("e", [4]));
        let mut tape = Tape::new();
        let graph = tape.train(&parameters, 0);
        assert!(graph.parameter(x).l2_loss(graph.parameter(e)).value().is_err());
        Ok(())
    }
}
