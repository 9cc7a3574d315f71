//! What is added to the scores.

use descant_kernels::Real;
use descant_tensor::Shape;
use std::sync::Arc;

/// What is added to the scores of a head, by how far a key lies from its query.
#[derive(Clone, Debug, PartialEq)]
pub enum PositionBias {
    /// Nothing.
    None,
    /// `-slope · distance`, one slope for each head (Press et al. 2022, arXiv 2108.12409).
    Alibi(Arc<[f64]>),
    /// A learned number for each head and each bucket of distances (Raffel et al. 2020, arXiv 1910.10683).
    Buckets {
        /// How many.
        buckets: usize,
        /// Distances from here on are all in the last bucket.
        max_distance: usize,
        /// Whether keys behind the query have buckets of their own, half of them.
        bidirectional: bool,
    },
}

/// The slopes of ALiBi: `2^(-8i/n)` for `n` heads, a power of two; of other numbers those of the next smaller power, and
/// between them.
pub fn alibi_slopes(heads: usize) -> Arc<[f64]> {
    let power = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let slope = |i: f64| (-8.0 * i / power as f64).exp2();
    let whole = (1..=power).map(|i| slope(i as f64));
    whole.chain((0..heads - power).map(|i| slope(i as f64 + 0.5))).collect()
}

impl PositionBias {
    /// That it fits the heads and the table of biases.
    pub(in crate::ops) fn check(&self, heads: usize, table: Option<Shape>) -> Result<(), String> {
        match (self, table) {
            (Self::Alibi(slopes), None) if slopes.len() != heads => {
                Err(format!("{} slopes for {heads} heads", slopes.len()))
            }
            (Self::Buckets { buckets, max_distance, bidirectional }, Some(table)) => {
                let least = if *bidirectional { 4 } else { 2 };
                if table.dims() != [*buckets, heads] {
                    return Err(format!("expected a table of shape [{buckets}, {heads}]"));
                }
                if *buckets < least || max_distance <= buckets {
                    return Err(format!("{buckets} buckets up to a distance of {max_distance}"));
                }
                Ok(())
            }
            (Self::None | Self::Alibi(_), None) => Ok(()),
            _ => Err("a table of biases goes with buckets, and only with them".to_owned()),
        }
    }

    /// The bucket of a key `distance` places after its query, negative before it.
    pub(super) fn bucket(buckets: usize, max_distance: usize, bidirectional: bool, distance: isize) -> usize {
        let (start, buckets) = match bidirectional {
            true if distance > 0 => (buckets / 2, buckets / 2),
            true => (0, buckets / 2),
            false => (0, buckets),
        };
        let behind = if bidirectional { distance.unsigned_abs() } else { (-distance).max(0) as usize };
        // Half of the buckets are one distance each, the others grow by a constant factor.
        let exact = buckets / 2;
        if behind < exact {
            return start + behind;
        }
        // In f32, as the models were trained.
        let ratio = (behind as f32 / exact as f32).ln() / (max_distance as f32 / exact as f32).ln();
        start + (exact + (ratio * (buckets - exact) as f32) as usize).min(buckets - 1)
    }

    /// Adds the biases of a row of scores: of keys that lie `first`, `first + 1` … places after their query.
    pub(super) fn add<E: Real>(&self, heads: usize, head: usize, first: isize, row: &mut [E], table: Option<&[E]>) {
        match self {
            Self::None => {}
            Self::Alibi(slopes) => {
                let slope = E::of(-slopes[head]);
                for (x, distance) in row.iter_mut().zip(first..) {
                    *x += slope * E::of(distance.unsigned_abs() as f64);
                }
            }
            &Self::Buckets { buckets, max_distance, bidirectional } => {
                let table = table.unwrap_or_default();
                for (x, distance) in row.iter_mut().zip(first..) {
                    *x += table[Self::bucket(buckets, max_distance, bidirectional, distance) * heads + head];
                }
            }
        }
    }

    /// Adds the gradient of such a row to that of the table.
    pub(super) fn add_gradient<E: Real>(&self, heads: usize, head: usize, first: isize, drow: &[E], dtable: &mut [E]) {
        if let &Self::Buckets { buckets, max_distance, bidirectional } = self {
            for (&ds, distance) in drow.iter().zip(first..) {
                dtable[Self::bucket(buckets, max_distance, bidirectional, distance) * heads + head] += ds;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_paper() {
        assert_eq!(*alibi_slopes(8), [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]);
        assert_eq!(*alibi_slopes(3), [0.0625, 0.00390625, 0.25]);
    }

    #[test]
    fn buckets_are_those_of_t5() {
        // `T5Attention._relative_position_bucket` of these distances, with 32 buckets up to 128.
        let distances = [-200, -128, -100, -64, -20, -9, -8, -7, -1, 0, 1, 7, 8, 15, 16, 40, 127, 300];
        let both = distances.map(|d| PositionBias::bucket(32, 128, true, d));
        assert_eq!(both, [15, 15, 15, 14, 10, 8, 8, 7, 1, 0, 17, 23, 24, 25, 26, 28, 31, 31]);
        let one = distances.map(|d| PositionBias::bucket(32, 128, false, d));
        assert_eq!(one, [31, 31, 30, 26, 17, 9, 8, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
