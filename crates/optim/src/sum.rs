use crate::CHUNK;
use descant_autograd::Gradients;
use descant_kernels::{Real, lanes, vectorized};
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

/// Elements that are added up in their own type, before the sum goes on in f64: few enough to stay in the first cache.
const RUN: usize = 1024;

fn add<E: Real>(total: &mut [E], others: &[&[E]]) -> f64 {
    let sums: Vec<f64> = total
        .par_chunks_mut(CHUNK)
        .enumerate()
        .map(|(i, total)| {
            let runs = total.chunks_mut(RUN).enumerate();
            runs.map(|(j, run)| add_run(run, others, i * CHUNK + j * RUN)).sum::<f64>()
        })
        .collect();
    sums.into_iter().sum()
}

/// Adds what `others` hold from `start` on; returns the sum of the squares.
fn add_run<E: Real>(run: &mut [E], others: &[&[E]], start: usize) -> f64 {
    let squares = vectorized(
        #[inline(always)]
        || {
            for other in others {
                run.iter_mut().zip(&other[start..]).for_each(|(x, &y)| *x += y);
            }
            lanes::sum(run, run, |x, _| x * x)
        },
    );
    squares.f64()
}
