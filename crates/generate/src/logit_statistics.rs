//! What choosing reads of all logits: the maxima of pieces of the vocabulary, and the logarithm of the sum of their exponentials.
//!
//! Each thread passes over some columns of all rows, most of which it has written in the GEMM before: what another one wrote has to come from
//! the cache of the other core. The sums are those of blocks of a fixed width, so their bits depend neither on the threads nor on the batch.

use descant_kernels::{Real, row_maxima, run_on_threads, sum_exp};
use descant_tensor::Shape;

/// Tokens whose maximum is known.
pub(crate) const PIECE: usize = 64;

/// Pieces of a block.
pub(crate) const PIECES: usize = 16;

/// Tokens of a block.
pub(crate) const BLOCK: usize = PIECE * PIECES;

/// Of each block of the vocabulary, that of each row.
#[derive(Debug, Default)]
pub(crate) struct LogitStatistics {
    rows: usize,
    blocks: Vec<OfBlock>,
}

/// The logits of a row in a block: the maxima of its pieces, -∞ beyond the vocabulary, and the sum of the exponentials of what they lack to the
/// largest of these.
#[derive(Clone, Copy, Debug)]
struct OfBlock {
    maxima: [f64; PIECES],
    sum: f64,
}

impl OfBlock {
    fn new<E: Real>(logits: &[E]) -> Self {
        let mut maxima = [E::neg_infinity(); PIECES];
        row_maxima(logits, PIECE, &mut maxima);
        let max = maxima.iter().fold(E::neg_infinity(), |max, &x| if x > max { x } else { max });
        Self { maxima: maxima.map(E::f64), sum: sum_exp(logits, max).f64() }
    }

    fn max(&self) -> f64 {
        self.maxima.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

impl LogitStatistics {
    /// Those of `logits[N, V]`, in the memory of the last ones.
    pub(crate) fn find<E: Real>(&mut self, shape: Shape, logits: &[E], threads: usize) {
        let (rows, width) = (shape.rows(), shape.last());
        self.rows = rows;
        let blocks = width.div_ceil(BLOCK);
        self.blocks.resize(blocks * rows, OfBlock { maxima: [f64::NEG_INFINITY; PIECES], sum: 0.0 });
        if self.blocks.is_empty() {
            return;
        }
        // Block by block, and where they are few, row by row.
        let share = self.blocks.len().div_ceil(threads.max(1));
        let tasks = self.blocks.chunks_mut(share).enumerate().map(|(thread, own)| {
            move || {
                for (place, of_block) in (thread * share..).zip(own) {
                    let (first, row) = (place / rows * BLOCK, place % rows);
                    *of_block = OfBlock::new(&logits[row * width..][first..width.min(first + BLOCK)]);
                }
            }
        });
        match threads {
            ..=1 => tasks.for_each(|task| task()),
            _ => run_on_threads(tasks),
        }
    }

    /// The logarithm of the sum of the exponentials of a row: NaN if there is one, -∞ if all are.
    pub(crate) fn log_sum_exp(&self, row: usize) -> f64 {
        let max = self.of_row(row).map(OfBlock::max).fold(f64::NEG_INFINITY, f64::max);
        let shift = if max == f64::NEG_INFINITY { 0.0 } else { max };
        let sum: f64 = self.of_row(row).map(|block| block.sum * (block.max() - shift).exp()).sum();
        max + sum.ln()
    }

    /// The maxima of the pieces of a block.
    pub(crate) fn maxima(&self, row: usize, block: usize) -> &[f64; PIECES] {
        &self.blocks[block * self.rows + row].maxima
    }

    fn of_row(&self, row: usize) -> impl Iterator<Item = &OfBlock> {
        self.blocks.iter().skip(row).step_by(self.rows.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_kernels::log_sum_exp;

    #[test]
    fn they_are_those_of_each_row_with_the_same_bits_on_every_number_of_threads() {
        for (rows, width) in [(1, 1), (3, 70), (2, 1024), (5, 2500)] {
            let logits: Vec<f32> = (0..rows * width).map(|i| ((i * 7919) % 997) as f32 / 97.0 - 5.0).collect();
            let of = |threads: usize| {
                let mut found = LogitStatistics::default();
                found.find(Shape::from([rows, width]), &logits, threads);
                found
            };
            let [found, others] = [1, 3].map(of);
            for (row, logits) in logits.chunks(width).enumerate() {
                assert!((found.log_sum_exp(row) - f64::from(log_sum_exp(logits))).abs() < 1e-5, "{rows} {width}");
                assert_eq!(found.log_sum_exp(row), others.log_sum_exp(row), "{rows} {width}");
                for (piece, logits) in logits.chunks(PIECE).enumerate() {
                    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    assert_eq!(found.maxima(row, piece / PIECES)[piece % PIECES], f64::from(max));
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_and_what_is_impossible_is_told() {
        let of = |place: usize, x: f64| {
            let mut logits = vec![f64::NEG_INFINITY; 1500];
            logits[place] = x;
            let mut found = LogitStatistics::default();
            found.find(Shape::from([1, 1500]), &logits, 1);
            found.log_sum_exp(0)
        };
        for place in [0, 1023, 1024, 1499] {
            assert_eq!((of(place, 2.5), of(place, f64::NEG_INFINITY)), (2.5, f64::NEG_INFINITY));
            assert!(of(place, f64::NAN).is_nan() && of(place, f64::INFINITY).is_nan());
        }
    }
}
