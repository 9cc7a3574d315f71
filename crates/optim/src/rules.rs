//! One file per optimizer: its update of some neighbouring elements, with PyTorch's order of operations.

pub(crate) mod adadelta;
pub(crate) mod adagrad;
pub(crate) mod adam;
pub(crate) mod rmsprop;
pub(crate) mod sgd;

use crate::Clipping;
use crate::optimizer::Chunk;
use descant_kernels::{Real, vectorized};

/// Calls `f(x, g, state)` for every element: the weight, its clipped gradient with `decay` times the weight added, and
/// the first `N` numbers that the optimizer remembers of it.
#[inline(always)]
pub(crate) fn sweep<E: Real, const N: usize>(
    chunk: Chunk<'_, E>,
    clipping: Clipping,
    decay: f64,
    f: impl Fn(&mut E, E, &mut [E; N]),
) {
    let Chunk { x, g, state } = chunk;
    let (scale, limit, decay) = (E::of(clipping.scale), E::of(clipping.limit), E::of(decay));
    let mut buffers = state.into_iter();
    let mut state: [&mut [E]; N] = std::array::from_fn(|_| buffers.next().unwrap_or_default());
    vectorized(
        #[inline(always)]
        || {
            // Block by block through arrays of its own: slices that might overlap would keep the loop from vector
            // instructions.
            for start in (0..x.len()).step_by(BLOCK) {
                let block = start..x.len().min(start + BLOCK);
                let len = block.len();
                let (mut weights, mut gradients) = ([E::zero(); BLOCK], [E::zero(); BLOCK]);
                let mut remembered = [[E::zero(); BLOCK]; N];
                weights[..len].copy_from_slice(&x[block.clone()]);
                gradients[..len].copy_from_slice(&g[block.clone()]);
                for (remembered, buffer) in remembered.iter_mut().zip(&state) {
                    remembered[..len].copy_from_slice(&buffer[block.clone()]);
                }
                for i in 0..BLOCK {
                    let gradient = (gradients[i] * scale).clamp(-limit, limit) + decay * weights[i];
                    let mut of_one = std::array::from_fn(|k| remembered[k][i]);
                    f(&mut weights[i], gradient, &mut of_one);
                    for (remembered, one) in remembered.iter_mut().zip(of_one) {
                        remembered[i] = one;
                    }
                }
                x[block.clone()].copy_from_slice(&weights[..len]);
                for (remembered, buffer) in remembered.iter().zip(&mut state) {
                    buffer[block.clone()].copy_from_slice(&remembered[..len]);
                }
            }
        },
    );
}

/// Elements that are worked on at once: a few vector registers.
const BLOCK: usize = 64;
