//! Numbers that are drawn evenly.

use rand_core::Rng;
use rand_pcg::Pcg64;

/// A whole number from 0 to below `n`.
pub(crate) fn below(random: &mut Pcg64, n: u64) -> u64 {
    ((u128::from(random.next_u64()) * u128::from(n)) >> 64) as u64
}

/// A number from 0 to below 1.
pub(crate) fn uniform(random: &mut Pcg64) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}
