use super::sweep;
use crate::optimizer::Chunk;
use crate::{Clipping, OptimizerConfig};
use descant_kernels::Real;

/// `v = μ v + (1 - dampening) g`, with `v = g` in the first step; `x -= lr v`, or with Nesterov `x -= lr (g + μ v)`.
pub(crate) fn update<E: Real>(config: &OptimizerConfig, chunk: Chunk<'_, E>, lr: f64, steps: u64, clipping: Clipping) {
    let &OptimizerConfig::Sgd { momentum, dampening, nesterov, weight_decay, .. } = config else { return };
    let (lr, mu, kept) = (E::of(lr), E::of(momentum), E::of(1.0 - dampening));
    if momentum == 0.0 {
        return sweep(chunk, clipping, weight_decay, |x, g, []| *x -= lr * g);
    }
    let first = steps == 1;
    sweep(chunk, clipping, weight_decay, |x, g, [v]| {
        *v = if first { g } else { mu * *v + kept * g };
        *x -= lr * if nesterov { g + mu * *v } else { *v };
    });
}
