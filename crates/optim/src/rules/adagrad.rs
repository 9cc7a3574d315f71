use super::sweep;
use crate::optimizer::Chunk;
use crate::{Clipping, OptimizerConfig};
use descant_kernels::Real;

/// `s += g²`; `x -= lr' g / (√s + ε)` with `lr' = lr / (1 + (t - 1) lr_decay)`.
pub(crate) fn update<E: Real>(config: &OptimizerConfig, chunk: Chunk<'_, E>, lr: f64, steps: u64, clipping: Clipping) {
    let &OptimizerConfig::Adagrad { lr_decay, eps, weight_decay, .. } = config else { return };
    let (lr, eps) = (E::of(lr / (1.0 + (steps - 1) as f64 * lr_decay)), E::of(eps));
    sweep(chunk, clipping, weight_decay, |x, g, [sum]| {
        *sum += g * g;
        *x -= lr * g / (sum.sqrt() + eps);
    });
}
