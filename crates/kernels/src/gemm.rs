//! General matrix multiplication: in f32 and f64 by the `gemm` crate, in bfloat16 by [`gemm_bf16`].

use crate::batch_invariant::{gemm_batch_invariant, is_batch_invariant};
use crate::flops::{count, count_bf16};
use crate::gemm_bf16;
use crate::gemm_config::{GemmConfig, MatmulPrecision, Parallelism};
use crate::mat::{Mat, MatMut, PAGE_COLUMNS, check_gemm_shapes};
use crate::real::Real;
use crate::transpose::transpose;

/// `c = beta c + alpha a b`. With `beta` zero, `c` is not read.
///
/// # Panics
/// If the shapes do not match: an error in the caller's shape rule.
pub fn gemm<E: Real>(alpha: E, a: Mat<'_, E>, b: Mat<'_, E>, beta: E, c: MatMut<'_, E>, config: impl Into<GemmConfig>) {
    let config = config.into();
    check_gemm_shapes(&a, &b, &c);
    if config.is_batch_invariant() && is_batch_invariant(&a, &b) {
        return gemm_batch_invariant(alpha, a, b, beta, c, config.parallelism);
    }
    let (m, k, n) = (a.rows, a.columns, b.columns);
    count(m, k, n);
    if config.precision == MatmulPrecision::Bf16
        && gemm_bf16::is_profitable(m, k, n)
        && let (Some(a), Some(b), Some(data)) = (a.as_f32(), b.as_f32(), E::as_f32_mut(&mut *c.data))
    {
        let c = MatMut { data, rows: c.rows, columns: c.columns, row_stride: c.row_stride };
        count_bf16(m, k, n);
        return gemm_bf16::gemm_bf16(alpha.f64() as f32, a, b, beta.f64() as f32, c, config.parallelism);
    }
    gemm_full(alpha, a, b, beta, c, config.parallelism);
}

/// [`gemm`] in the operands' own precision; not counted in [`gemm_flops`](crate::gemm_flops).
pub(crate) fn gemm_full<E: Real>(
    alpha: E,
    a: Mat<'_, E>,
    b: Mat<'_, E>,
    beta: E,
    c: MatMut<'_, E>,
    parallelism: Parallelism,
) {
    check_gemm_shapes(&a, &b, &c);
    if c.rows == 0 || c.columns == 0 {
        return;
    }
    let a_is_transposed = a.column_stride != 1 && a.row_stride == 1;
    let is_split = a_is_transposed && a.columns >= SPLIT_MIN_K && b.column_stride == 1 && c.columns > SPLIT_COLUMNS;
    if !is_split {
        return gemm_call(alpha, a, b, beta, c, parallelism);
    }
    let width = c.columns.div_ceil(c.columns.div_ceil(SPLIT_COLUMNS)).next_multiple_of(16);
    for start in (0..c.columns).step_by(width) {
        let columns = start..c.columns.min(start + width);
        let c = MatMut::strided(&mut c.data[start..], c.rows, columns.len(), c.row_stride);
        gemm_call(alpha, a, b.columns(columns), beta, c, parallelism);
    }
}

/// Up to this many columns of the result, the `gemm` crate reads a column-major `A`, as in the gradient of a weight, in
/// place. For more columns it copies `A`, six rows at a time, which costs more than one call for every so many columns.
const SPLIT_COLUMNS: usize = 128;

/// The inner length from which the split pays.
const SPLIT_MIN_K: usize = 256;

/// One call of the `gemm` crate.
fn gemm_call<E: Real>(alpha: E, a: Mat<'_, E>, b: Mat<'_, E>, beta: E, c: MatMut<'_, E>, parallelism: Parallelism) {
    check_gemm_shapes(&a, &b, &c);
    // SAFETY: `Mat` and `MatMut` hold slices that contain every element their strides reach: checked without overflow when
    // they are made, and kept by `t` and `columns`; so no stride is longer than a slice, and all fit `isize`. The shapes
    // match, checked above, and `c` is borrowed mutably, so nothing else reads or writes it.
    unsafe {
        ::gemm::gemm(
            c.rows,
            c.columns,
            a.columns,
            c.data.as_mut_ptr(),
            1,
            c.row_stride as isize,
            beta != E::zero(),
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            // The crate's alpha scales `c`, its beta the matrix product.
            beta,
            alpha,
            false,
            false,
            false,
            match parallelism {
                Parallelism::Serial => ::gemm::Parallelism::None,
                Parallelism::Threads(threads) => ::gemm::Parallelism::Rayon(threads),
            },
        );
    }
}

/// The scratch that [`gemm_nt`] uses for contiguous `a[M, K]` and `b[N, K]`. With less, it transposes nothing.
pub fn gemm_nt_scratch(m: usize, k: usize, n: usize, config: impl Into<GemmConfig>) -> usize {
    let config = config.into();
    let is_bf16 = config.precision == MatmulPrecision::Bf16 && gemm_bf16::is_profitable(m, k, n);
    let is_profitable =
        !is_bf16 && !config.is_batch_invariant() && m >= TRANSPOSE_MIN_M && (m < TRANSPOSE_MAX_M || k >= PAGE_COLUMNS);
    if is_profitable { (m * (k + n)).min(k * n) } else { 0 }
}

/// `c = beta c + a bᵀ` with `a[M, K]` and `b[N, K]`: the GEMM of a linear layer. Reading `b` across its rows is slow, so the
/// cheaper of two copies is made first, in `scratch`: `bᵀ`; or, where `b` is larger than `a` and `c` together, `aᵀ`, followed by
/// `cᵀ = b aᵀ` and the transpose of that.
pub fn gemm_nt<E: Real>(
    a: Mat<'_, E>,
    b: &[E],
    beta: E,
    c: MatMut<'_, E>,
    scratch: &mut [E],
    config: impl Into<GemmConfig>,
) {
    let config = config.into();
    let (m, k, n) = (c.rows, a.columns, c.columns);
    let a_is_smaller = m * (k + n) < b.len() && a.column_stride == 1 && a.row_stride == k;
    let overwrites_c = beta == E::zero() && c.row_stride == n;
    let scratch_len = gemm_nt_scratch(m, k, n, config);
    if scratch_len > 0 && a_is_smaller && overwrites_c && scratch.len() >= scratch_len {
        let (a_t, c_t) = scratch[..scratch_len].split_at_mut(m * k);
        transpose(&a.data[..m * k], m, k, a_t);
        gemm(E::one(), Mat::new(b, n, k), Mat::new(a_t, k, m), beta, MatMut::new(c_t, n, m), config);
        return transpose(c_t, n, m, &mut c.data[..m * n]);
    }
    if scratch_len == 0 || scratch.len() < b.len() {
        return gemm(E::one(), a, Mat::new(b, n, k).t(), beta, c, config);
    }
    let b_t = &mut scratch[..b.len()];
    transpose(b, n, k, b_t);
    gemm(E::one(), a, Mat::new(b_t, k, n), beta, c, config);
}

/// Rows of `A` from which transposing `B` pays.
const TRANSPOSE_MIN_M: usize = 8;

/// Rows of `A` from which the `gemm` crate's own packing of `B` is as good, unless each row of `B` is on a page of its own.
const TRANSPOSE_MAX_M: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f64 / 997.0 - 0.5).collect()
    }

    #[test]
    fn gemm_equals_the_sum_over_the_inner_axis_in_every_orientation() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 7), (17, 33, 9), (1, 64, 40), (40, 64, 1), (2, 0, 3)] {
            let (a, b, c0) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
            for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
                for (alpha, beta) in [(1.0, 0.0), (0.5, 1.0), (2.0, -0.5)] {
                    let mut c = c0.clone();
                    let left = if ta { Mat::new(&a, k, m).t() } else { Mat::new(&a, m, k) };
                    let right = if tb { Mat::new(&b, n, k).t() } else { Mat::new(&b, k, n) };
                    gemm(alpha, left, right, beta, MatMut::new(&mut c, m, n), Parallelism::Serial);
                    for i in 0..m {
                        for j in 0..n {
                            let x = |p: usize| if ta { a[p * m + i] } else { a[i * k + p] };
                            let y = |p: usize| if tb { b[j * k + p] } else { b[p * n + j] };
                            let sum: f64 = (0..k).map(|p| x(p) * y(p)).sum();
                            let expected = beta * c0[i * n + j] + alpha * sum;
                            assert!((c[i * n + j] - expected).abs() < 1e-12, "{m}x{k}x{n} {ta} {tb}");
                        }
                    }
                }
            }
        }
    }
}
