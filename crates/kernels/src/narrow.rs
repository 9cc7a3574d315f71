//! Products of operands in bfloat16, by the `gemmkit` crate: sums are in f32, what comes out is rounded once more, and
//! then added in f32.

use crate::matmul::{Mat, MatMut, Parallelism};
use crate::vectorized;
use half::bf16;
use std::cell::RefCell;

thread_local! {
    /// Left side, right side and result of a product. They only grow.
    static SCRATCH: RefCell<[Vec<bf16>; 3]> = const { RefCell::new([Vec::new(), Vec::new(), Vec::new()]) };
}

/// Multiplications for each number that is rounded from which that is worth its while.
const WORTH: usize = 48;

/// Whether a product of `m×k` by `k×n` is computed in bfloat16 where [`MatmulPrecision::Bf16`](crate::MatmulPrecision::Bf16) is asked
/// for: where the conversions cost less than the product gains.
pub fn pays(m: usize, k: usize, n: usize) -> bool {
    m * k * n > 0 && m * k * n >= WORTH * (m * k + k * n + 2 * m * n)
}

/// To the nearest bfloat16, halves to even; what is not a number stays none.
pub(crate) fn round(x: &[f32], y: &mut [bf16]) {
    vectorized(
        #[inline(always)]
        || {
            for (y, x) in y.iter_mut().zip(x) {
                let bits = x.to_bits();
                let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
                let kept = (bits >> 16) | 0x40;
                *y = bf16::from_bits(if x.is_nan() { kept } else { rounded } as u16);
            }
        },
    );
}

/// A matrix rounded into `scratch`, its rows without gaps, and the distances of its rows and columns there.
fn rounded<'s>(x: &Mat<'_, f32>, scratch: &'s mut Vec<bf16>) -> (&'s [bf16], isize, isize) {
    let Mat { data, rows, columns, row_stride, column_stride } = *x;
    // As it lies in memory: along its columns where it is a transpose.
    let (lines, length, distance) =
        if column_stride == 1 || columns == 1 { (rows, columns, row_stride) } else { (columns, rows, column_stride) };
    let len = lines * length;
    if scratch.len() < len {
        scratch.resize(len, bf16::ZERO);
    }
    let scratch = &mut scratch[..len];
    if distance == length {
        round(&data[..len], scratch);
    } else {
        for (line, to) in scratch.chunks_exact_mut(length).enumerate() {
            round(&data[line * distance..][..length], to);
        }
    }
    let along = (length as isize, 1);
    let (row, column) = if lines == rows && (column_stride == 1 || columns == 1) { along } else { (along.1, along.0) };
    (scratch, row, column)
}

/// `c = beta c + alpha a b`.
pub(crate) fn product(
    alpha: f32,
    a: Mat<'_, f32>,
    b: Mat<'_, f32>,
    beta: f32,
    c: MatMut<'_, f32>,
    parallelism: Parallelism,
) {
    let (m, n, k) = (c.rows, c.columns, a.columns);
    assert!(a.rows == m && b.columns == n && b.rows == k, "product of {}x{k} and {}x{n} into {m}x{n}", a.rows, b.rows);
    let threads = match parallelism {
        Parallelism::Serial => gemmkit::Parallelism::Serial,
        Parallelism::Threads(threads) => gemmkit::Parallelism::Rayon(threads),
    };
    // Taken out rather than borrowed: while the product waits for other threads, this one may be given another product.
    let mut scratch = SCRATCH.take();
    {
        let [left, right, result] = &mut scratch;
        let (left, row, column) = rounded(&a, left);
        let left = gemmkit::MatRef::new(left, m, k, row, column);
        let (right, row, column) = rounded(&b, right);
        let right = gemmkit::MatRef::new(right, k, n, row, column);
        if result.len() < m * n {
            result.resize(m * n, bf16::ZERO);
        }
        let result = &mut result[..m * n];
        let into = gemmkit::MatMut::from_row_major(result, m, n);
        gemmkit::gemm(bf16::ONE, left, right, bf16::ZERO, into, threads);
        for (c, x) in c.data.chunks_mut(c.row_stride.max(1)).zip(result.chunks_exact(n)) {
            let pairs = c.iter_mut().zip(x);
            let widened = |x: &bf16| f32::from_bits(u32::from(x.to_bits()) << 16);
            if beta == 0.0 {
                vectorized(
                    #[inline(always)]
                    || pairs.for_each(|(c, x)| *c = alpha * widened(x)),
                );
            } else {
                vectorized(
                    #[inline(always)]
                    || pairs.for_each(|(c, x)| *c = beta * *c + alpha * widened(x)),
                );
            }
        }
    }
    SCRATCH.set(scratch);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GemmConfig, MatmulPrecision, gemm};

    #[test]
    fn rounding_is_to_the_nearest_and_to_even() {
        let x = [
            1.0,
            -1.0 - 0.5_f32.powi(8),
            1.0 + 0.5_f32.powi(8),
            1.0 + 3.0 * 0.5_f32.powi(8),
            3.0e38,
            f32::INFINITY,
            f32::NAN,
            1e-40,
            0.1,
        ];
        let mut y = [bf16::ZERO; 9];
        round(&x, &mut y);
        for (x, y) in x.into_iter().zip(y) {
            assert!(y.to_bits() == bf16::from_f32(x).to_bits() || x.is_nan() && y.is_nan(), "{x} {y}");
        }
    }

    #[test]
    fn products_of_every_orientation_are_near() {
        let (m, k, n) = (96, 112, 80);
        let numbers = |n: usize, seed: usize| -> Vec<f32> {
            (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f32 / 997.0 - 0.5).collect()
        };
        assert!(!pays(m, k, 1) && pays(300, 300, 300));
        let (a, b, c) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * (n + 3), 3));
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            for (alpha, beta) in [(1.0, 0.0), (0.5, 1.0)] {
                let left = if ta { Mat::new(&a, k, m).t() } else { Mat::new(&a, m, k) };
                let right = if tb { Mat::new(&b, n, k).t() } else { Mat::new(&b, k, n) };
                let (mut found, mut expected) = (c.clone(), c.clone());
                product(alpha, left, right, beta, MatMut::strided(&mut found, m, n, n + 3), Parallelism::Serial);
                let into = MatMut::strided(&mut expected, m, n, n + 3);
                gemm(
                    alpha,
                    left,
                    right,
                    beta,
                    into,
                    GemmConfig { precision: MatmulPrecision::Full, ..GemmConfig::default() },
                );
                for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    assert!((found - expected).abs() < 0.05, "{ta} {tb} {i}: {found} for {expected}");
                    assert!(i % (n + 3) < n || found == expected, "{i} lies between the rows");
                }
            }
        }
    }
}
