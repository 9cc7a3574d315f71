//! GEMM on bfloat16 operands, by the `gemmkit` crate: it accumulates in f32 and rounds the result to bfloat16, which is then
//! added to `c` in f32.

use crate::bf16::round;
use crate::elementwise::vectorized;
use crate::gemm_config::Parallelism;
use crate::mat::{Mat, MatMut, check_gemm_shapes};
use half::bf16;
use std::cell::RefCell;

thread_local! {
    /// A, B and the result of a GEMM in bfloat16. They only grow.
    static SCRATCH: RefCell<[Vec<bf16>; 3]> = const { RefCell::new([Vec::new(), Vec::new(), Vec::new()]) };
}

/// The arithmetic intensity, multiplications per converted element, from which bf16 pays for its conversions.
const MIN_MULS_PER_CONVERSION: usize = 48;

/// Whether a GEMM of `m×k` by `k×n` is computed in bfloat16 where
/// [`MatmulPrecision::Bf16`](crate::MatmulPrecision::Bf16) is requested: if its gain exceeds the cost of the conversions.
pub fn is_profitable(m: usize, k: usize, n: usize) -> bool {
    m * k * n > 0 && m * k * n >= MIN_MULS_PER_CONVERSION * (m * k + k * n + 2 * m * n)
}

/// A copy of a matrix, rounded into `scratch` in its own memory order without gaps, with its row and column stride there.
fn rounded<'s>(x: &Mat<'_, f32>, scratch: &'s mut Vec<bf16>) -> (&'s [bf16], isize, isize) {
    let Mat { data, rows, columns, row_stride, column_stride } = *x;
    let is_row_major = column_stride == 1 || columns == 1;
    let (lines, length, stride) =
        if is_row_major { (rows, columns, row_stride) } else { (columns, rows, column_stride) };
    let len = lines * length;
    if scratch.len() < len {
        scratch.resize(len, bf16::ZERO);
    }
    let scratch = &mut scratch[..len];
    if stride == length {
        round(&data[..len], scratch);
    } else {
        for (line, to) in scratch.chunks_exact_mut(length).enumerate() {
            round(&data[line * stride..][..length], to);
        }
    }
    let length = length as isize;
    if is_row_major { (scratch, length, 1) } else { (scratch, 1, length) }
}

/// `c = beta c + alpha a b`.
pub(crate) fn gemm_bf16(
    alpha: f32,
    a: Mat<'_, f32>,
    b: Mat<'_, f32>,
    beta: f32,
    c: MatMut<'_, f32>,
    parallelism: Parallelism,
) {
    let (m, n, k) = (c.rows, c.columns, a.columns);
    check_gemm_shapes(&a, &b, &c);
    let threads = match parallelism {
        Parallelism::Serial => gemmkit::Parallelism::Serial,
        Parallelism::Threads(threads) => gemmkit::Parallelism::Rayon(threads),
    };
    // Taken, not borrowed: while this GEMM waits for other threads, rayon may run another one on this thread.
    let mut scratch = SCRATCH.take();
    {
        let [a_bf16, b_bf16, result] = &mut scratch;
        let (a_bf16, row_stride, column_stride) = rounded(&a, a_bf16);
        let a = gemmkit::MatRef::new(a_bf16, m, k, row_stride, column_stride);
        let (b_bf16, row_stride, column_stride) = rounded(&b, b_bf16);
        let b = gemmkit::MatRef::new(b_bf16, k, n, row_stride, column_stride);
        if result.len() < m * n {
            result.resize(m * n, bf16::ZERO);
        }
        let result = &mut result[..m * n];
        let into = gemmkit::MatMut::from_row_major(result, m, n);
        gemmkit::gemm(bf16::ONE, a, b, bf16::ZERO, into, threads);
        for (c, x) in c.data.chunks_mut(c.row_stride.max(1)).zip(result.chunks_exact(n)) {
            let elements = c.iter_mut().zip(x);
            let widened = |x: &bf16| f32::from_bits(u32::from(x.to_bits()) << 16);
            if beta == 0.0 {
                vectorized(
                    #[inline(always)]
                    || elements.for_each(|(c, x)| *c = alpha * widened(x)),
                );
            } else {
                vectorized(
                    #[inline(always)]
                    || elements.for_each(|(c, x)| *c = beta * *c + alpha * widened(x)),
                );
            }
        }
    }
    SCRATCH.set(scratch);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gemm_is_near_the_exact_result_in_every_orientation() {
        let (m, k, n) = (96, 112, 80);
        let numbers = |n: usize, seed: usize| -> Vec<f32> {
            (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f32 / 997.0 - 0.5).collect()
        };
        assert!(!is_profitable(m, k, 1) && is_profitable(300, 300, 300));
        let (a, b, c) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * (n + 3), 3));
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            for (alpha, beta) in [(1.0, 0.0), (0.5, 1.0)] {
                let left = if ta { Mat::new(&a, k, m).t() } else { Mat::new(&a, m, k) };
                let right = if tb { Mat::new(&b, n, k).t() } else { Mat::new(&b, k, n) };
                let mut found = c.clone();
                gemm_bf16(alpha, left, right, beta, MatMut::strided(&mut found, m, n, n + 3), Parallelism::Serial);
                for (index, (found, before)) in found.iter().zip(&c).enumerate() {
                    let (i, j) = (index / (n + 3), index % (n + 3));
                    if j >= n {
                        assert!(found == before, "{index} is between the rows");
                        continue;
                    }
                    let x = |p: usize| if ta { a[p * m + i] } else { a[i * k + p] };
                    let y = |p: usize| if tb { b[j * k + p] } else { b[p * n + j] };
                    let expected = beta * before + alpha * (0..k).map(|p| x(p) * y(p)).sum::<f32>();
                    assert!((found - expected).abs() < 0.05, "{ta} {tb} {i} {j}: {found} for {expected}");
                }
            }
        }
    }
}
