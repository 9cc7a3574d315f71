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
    let n = x.len();
    let mut buffers = state.into_iter();
    let mut state: [&mut [E]; N] = std::array::from_fn(|_| &mut buffers.next().unwrap_or_default()[..n]);
    let g = &g[..n];
    vectorized(
        #[inline(always)]
        || {
            for i in 0..n {
                let gradient = (g[i] * scale).max(-limit).min(limit) + decay * x[i];
                let mut remembered = std::array::from_fn(|k| state[k][i]);
                f(&mut x[i], gradient, &mut remembered);
                for (buffer, remembered) in state.iter_mut().zip(remembered) {
                    buffer[i] = remembered;
                }
            }
        },
    );
}
