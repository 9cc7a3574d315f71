use super::sweep;
use crate::optimizer::Chunk;
use crate::{Clipping, OptimizerConfig};
use descant_kernels::Real;

/// `s = α s + (1 - α) g²`; `d = g / (√s + ε)`, or centred `d = g / (√(s - m²) + ε)` with `m = α m + (1 - α) g`; then
/// `x -= lr d`, or with momentum `v = μ v + d` and `x -= lr v`.
pub(crate) fn update<E: Real>(config: &OptimizerConfig, chunk: Chunk<'_, E>, lr: f64, clipping: Clipping) {
    let &OptimizerConfig::Rmsprop { alpha, eps, momentum, centered, weight_decay, .. } = config else { return };
    let (lr, alpha, rest, eps, mu) = (E::of(lr), E::of(alpha), E::of(1.0 - alpha), E::of(eps), E::of(momentum));
    let plain = |g: E, square: &mut E| {
        *square = alpha * *square + rest * g * g;
        g / (square.sqrt() + eps)
    };
    let about_mean = |g: E, square: &mut E, mean: &mut E| {
        *square = alpha * *square + rest * g * g;
        *mean += rest * (g - *mean);
        g / ((*square - *mean * *mean).sqrt() + eps)
    };
    let along = |x: &mut E, d: E, v: &mut E| {
        *v = mu * *v + d;
        *x -= lr * *v;
    };
    match (centered, momentum > 0.0) {
        (false, false) => sweep(chunk, clipping, weight_decay, |x, g, [square]| *x -= lr * plain(g, square)),
        (true, false) => {
            sweep(chunk, clipping, weight_decay, |x, g, [square, mean]| *x -= lr * about_mean(g, square, mean));
        }
        (false, true) => sweep(chunk, clipping, weight_decay, |x, g, [square, v]| along(x, plain(g, square), v)),
        (true, true) => {
            sweep(chunk, clipping, weight_decay, |x, g, [square, mean, v]| along(x, about_mean(g, square, mean), v));
        }
    }
}
