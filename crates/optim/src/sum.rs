use crate::CHUNK;
use descant_autograd::Gradients;
use descant_kernels::{Real, vectorized};
use descant_tensor::Buffer;
use rayon::prelude::*;

/// Adds `others` to `total`, in their order, on the threads of the current rayon pool; returns the sum of the squares of
/// the result. Chunks have a fixed length and their sums are added in order: any number of threads gives the same bits.
pub fn add_gradients(total: &mut Gradients, others: &[&Gradients]) -> f64 {
    others.iter().for_each(|other| total.touch_as(other));
    match total.buffer_mut() {
        Buffer::F32(total) => add(total, &others.iter().map(|other| slice(other)).collect::<Vec<_>>()),
        Buffer::F64(total) => add(total, &others.iter().map(|other| slice(other)).collect::<Vec<_>>()),
    }
}

fn slice<E: Real>(gradients: &Gradients) -> &[E] {
    E::slice(gradients.buffer())
}

/// Lanes of partial sums: as many as a vector register of the widest kind has elements of f32.
const LANES: usize = 16;

fn add<E: Real>(total: &mut [E], others: &[&[E]]) -> f64 {
    let sums: Vec<f64> = total
        .par_chunks_mut(CHUNK)
        .enumerate()
        .map(|(i, total)| {
            for other in others {
                let other = &other[i * CHUNK..][..total.len()];
                vectorized(
                    #[inline(always)]
                    || total.iter_mut().zip(other).for_each(|(x, &y)| *x += y),
                );
            }
            squares(total)
        })
        .collect();
    sums.into_iter().sum()
}

/// The sum of squares: short runs in the elements' type, these in f64.
fn squares<E: Real>(x: &[E]) -> f64 {
    const RUN: usize = 64 * LANES;
    let run = |x: &[E]| -> f64 {
        let mut lanes = [E::zero(); LANES];
        vectorized(
            #[inline(always)]
            || {
                let mut rows = x.chunks_exact(LANES);
                for row in &mut rows {
                    for (lane, &x) in lanes.iter_mut().zip(row) {
                        *lane += x * x;
                    }
                }
                for (lane, &x) in lanes.iter_mut().zip(rows.remainder()) {
                    *lane += x * x;
                }
            },
        );
        lanes.iter().map(|lane| lane.f64()).sum()
    };
    x.chunks(RUN).map(run).sum()
}
