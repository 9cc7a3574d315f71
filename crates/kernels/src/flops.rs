use std::sync::atomic::{AtomicU64, Ordering};

static ALL: AtomicU64 = AtomicU64::new(0);
static BF16: AtomicU64 = AtomicU64::new(0);

/// Floating-point operations of all GEMMs so far, on all threads: the numerator of a roofline.
pub fn gemm_flops() -> u64 {
    ALL.load(Ordering::Relaxed)
}

/// Those of [`gemm_flops`] that were computed in bfloat16: zero where
/// [`MatmulPrecision::Bf16`](crate::MatmulPrecision::Bf16) was requested, but every GEMM was too small to profit.
pub fn bf16_gemm_flops() -> u64 {
    BF16.load(Ordering::Relaxed)
}

/// Counts a GEMM of `m×k` by `k×n`.
pub(crate) fn count(m: usize, k: usize, n: usize) {
    ALL.fetch_add(flops(m, k, n), Ordering::Relaxed);
}

/// Counts a GEMM, already in [`count`], as one in bfloat16.
pub(crate) fn count_bf16(m: usize, k: usize, n: usize) {
    BF16.fetch_add(flops(m, k, n), Ordering::Relaxed);
}

fn flops(m: usize, k: usize, n: usize) -> u64 {
    2 * (m * k * n) as u64
}
