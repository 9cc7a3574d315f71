//! A soft cap of scores or logits (Gemma Team 2024, arXiv 2408.00118), within the operations that have one.

use descant_kernels::{Real, map, zip_into};

/// `z` becomes `c tanh(z / c)`, and `slopes`, where there are any, its derivative `1 - tanh²`.
pub(super) fn soft_cap<E: Real>(cap: f64, z: &mut [E], slopes: &mut [E]) {
    let (cap, inverse) = (E::of(cap), E::of(1.0 / cap));
    map(z, |z| z * inverse);
    E::tanh_all(z);
    if !slopes.is_empty() {
        zip_into(slopes, z, z, |_, tanh, _| E::one() - tanh * tanh);
    }
    map(z, |z| z * cap);
}
