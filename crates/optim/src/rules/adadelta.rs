use super::sweep;
use crate::optimizer::Chunk;
use crate::{Clipping, OptimizerConfig};
use descant_kernels::Real;

/// `s = ρ s + (1 - ρ) g²`; `Δ = g √(d + ε) / √(s + ε)`; `d = ρ d + (1 - ρ) Δ²`; `x -= lr Δ`.
pub(crate) fn update<E: Real>(config: &OptimizerConfig, chunk: Chunk<'_, E>, lr: f64, clipping: Clipping) {
    let &OptimizerConfig::Adadelta { rho, eps, weight_decay, .. } = config else { return };
    let (lr, rho, rest, eps) = (E::of(lr), E::of(rho), E::of(1.0 - rho), E::of(eps));
    sweep(chunk, clipping, weight_decay, |x, g, [square, delta]| {
        *square = rho * *square + rest * g * g;
        let step = (*delta + eps).sqrt() / (*square + eps).sqrt() * g;
        *delta = rho * *delta + rest * step * step;
        *x -= lr * step;
    });
}
