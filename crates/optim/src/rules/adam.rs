use super::sweep;
use crate::optimizer::Chunk;
use crate::{Clipping, OptimizerConfig};
use descant_kernels::Real;

/// `m = β₁ m + (1 - β₁) g`; `v = β₂ v + (1 - β₂) g²`; `x -= lr m̂ / (√v̂ + ε)` with `m̂ = m / (1 - β₁ᵗ)` and
/// `v̂ = v / (1 - β₂ᵗ)`. Adam adds the decay to the gradient; AdamW takes `lr weight_decay x` off the weight.
pub(crate) fn update<E: Real>(config: &OptimizerConfig, chunk: Chunk<'_, E>, lr: f64, steps: u64, clipping: Clipping) {
    let (betas, eps, coupled, decoupled) = match *config {
        OptimizerConfig::Adam { betas, eps, weight_decay, .. } => (betas, eps, weight_decay, 0.0),
        OptimizerConfig::Adamw { betas, eps, weight_decay, .. } => (betas, eps, 0.0, weight_decay),
        _ => return,
    };
    let [beta1, beta2] = betas;
    let correction = |beta: f64| 1.0 - beta.powf(steps as f64);
    let kept = E::of(1.0 - lr * decoupled);
    let step = E::of(lr / correction(beta1));
    // Times the inverse: a division for each element is the slowest part otherwise.
    let root = E::of(1.0 / correction(beta2).sqrt());
    let (rest1, rest2, beta2, eps) = (E::of(1.0 - beta1), E::of(1.0 - beta2), E::of(beta2), E::of(eps));
    sweep(chunk, clipping, coupled, |x, g, [m, v]| {
        *m += rest1 * (g - *m);
        *v = beta2 * *v + rest2 * g * g;
        *x = kept * *x - step * *m / (v.sqrt() * root + eps);
    });
}
