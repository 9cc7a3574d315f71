//! Memory that is fetched into the second cache while something else is computed.

use crate::mat::Mat;
use crate::real::Real;
use pulp::Simd;

/// Elements of a cache line.
const LINE: usize = 16;

/// Which lines of the rows that follow are fetched while dot products read those at hand: every `period`-th, from `first` on, each
/// in steps of a register.
#[derive(Clone, Copy)]
pub(crate) struct Prefetch {
    /// To the rows that follow, in elements.
    pub(crate) distance: usize,
    pub(crate) first: usize,
    pub(crate) period: usize,
}

impl Prefetch {
    pub(crate) const NONE: Self = Self { distance: 0, first: usize::MAX, period: 0 };

    /// The part of the rows `distance` elements on that is fetched the `part`-th time of `parts` that those at hand are read.
    pub(crate) fn new<S: Simd>(distance: usize, part: usize, parts: usize) -> Self {
        let steps = (LINE / S::F32_LANES).max(1);
        Self { distance, first: part * steps, period: parts * steps }
    }
}

/// Fetches the cache line of an address, which need not be there.
#[inline(always)]
pub(crate) fn fetch(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: fetching changes no memory, and an address that is not there is ignored.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Fetches the rows of a matrix whose rows are contiguous.
pub fn fetch_rows<E: Real>(x: Mat<'_, E>) {
    let elements_of_line = (64 / size_of::<E>()).max(1);
    for row in 0..x.rows {
        let start = x.data.as_ptr().wrapping_add(row * x.row_stride);
        for column in (0..x.columns).step_by(elements_of_line) {
            fetch(start.wrapping_add(column).cast());
        }
    }
}
