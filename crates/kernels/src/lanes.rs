//! Reductions of rows in sixteen lanes: fast, and with the same bits whatever the width of a vector register. [`sum`] is for use in
//! loops that are [`vectorized`] as a whole.

use crate::elementwise::vectorized;
use crate::real::Real;

pub(crate) const LANES: usize = 16;

/// `Σ f(aᵢ, bᵢ)`.
#[inline(always)]
pub fn sum<E: Real>(a: &[E], b: &[E], f: impl Fn(E, E) -> E) -> E {
    assert_eq!(a.len(), b.len());
    let mut lanes = [E::zero(); LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a.remainder().iter().zip(b.remainder());
    for (a, b) in a.zip(b) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(l, (&a, &b))| *l += f(a, b));
    }
    lanes.iter_mut().zip(rest).for_each(|(l, (&a, &b))| *l += f(a, b));
    reduce(lanes, |a, b| a + b)
}

/// Elements whose squares are summed in their own type, before the sum continues in f64: few enough that sums along a tree stay in
/// the first caches.
pub const RUN: usize = 1024;

/// `Σ xᵢ²`, in runs of [`RUN`] elements.
pub fn sum_of_squares<E: Real>(x: &[E]) -> f64 {
    x.chunks(RUN).map(|run| zip_sum(run, run, |x, _| x * x).f64()).sum()
}

/// Combines the upper half of the lanes with the lower half, until one is left.
#[inline(always)]
pub(crate) fn reduce<E: Real>(mut lanes: [E; LANES], f: impl Fn(E, E) -> E) -> E {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] = f(lanes[i], lanes[i + half]);
        }
    }
    lanes[0]
}

/// `Σ f(aᵢ, bᵢ)`, as [`sum`], in a loop of its own.
#[inline(always)]
pub fn zip_sum<E: Real>(a: &[E], b: &[E], f: impl Fn(E, E) -> E) -> E {
    vectorized(
        #[inline(always)]
        || sum(a, b, f),
    )
}
