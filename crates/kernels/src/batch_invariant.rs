//! The GEMM of inference for row-major operands, `C = β C + α A B`. Each element of `C` is added up in an order that depends on the inner
//! length and the layout of `B` alone, so the bits of a row are the same in a batch of any size, at any place in it, and on any number of
//! threads: the GEMM is batch-invariant. A caller must not choose the layout of `B` by the number of rows. Weights are packed for
//! [`gemm_packed`](crate::gemm_packed()) where they are loaded for inference.
//!
//! `B` is either a weight `[N, K]`, transposed, whose rows meet those of `A` in dot products; or row-major `[K, N]`, such as the
//! values of an attention, whose rows are scaled and added up one after the other. With `α = β = 1`, that sum goes on from `C`: the rows of a
//! `B` may come in several pieces, and the bits are those of one.

use crate::axpy_tiles::AxpyTiles;
use crate::columns::Columns;
use crate::dot_tiles::DotTiles;
use crate::flops::count;
use crate::gemm_config::Parallelism;
use crate::mat::{Mat, MatMut, check_gemm_shapes};
use crate::real::Real;
use crate::threads::run_on_threads;
use pulp::Arch;
use std::ops::Range;

/// `c[M, N] = beta c + alpha a[M, K] b[K, N]`, with the same bits for each row of `a` whatever the others are. With `beta` zero, `c`
/// is not read.
///
/// # Panics
/// If the shapes do not match, `a` is not row-major, or `b` is neither row- nor column-major: an error in the caller.
pub fn gemm_batch_invariant<E: Real>(
    alpha: E,
    a: Mat<'_, E>,
    b: Mat<'_, E>,
    beta: E,
    c: MatMut<'_, E>,
    parallelism: Parallelism,
) {
    check_gemm_shapes(&a, &b, &c);
    assert!(is_batch_invariant(&a, &b), "a GEMM whose order of summation depends on the batch");
    let (m, k, n) = (a.rows, a.columns, b.columns);
    if m == 0 || n == 0 {
        return;
    }
    count(m, k, n);
    let threads = parallelism.threads(m * k * n, n);
    let c = Columns::new(alpha, beta, c);
    let sums = |columns: Range<usize>| match (a.as_f32().filter(|_| k > 0), b.as_f32(), c.as_f32()) {
        (Some(a), Some(b), Some(c)) if b.row_stride == 1 => Arch::new().dispatch(DotTiles { a, b, c, columns }),
        (Some(a), Some(b), Some(c)) => Arch::new().dispatch(AxpyTiles { a, b, c, columns }),
        // f64, for tests; and the empty sums of `k = 0`.
        _ => (0..m).for_each(|i| {
            for j in columns.clone() {
                let term = |p| a.data[i * a.row_stride + p] * b.data[j * b.column_stride + p * b.row_stride];
                let (c, start) = match c.is_added_to() {
                    // SAFETY: `i` is a row of `c`, and `j` one of this thread's columns.
                    true => (c.replaced(), unsafe { c.row(i, j..j + 1)[0] }),
                    false => (c, E::zero()),
                };
                // SAFETY: as above.
                unsafe { c.put(i, j, false, (0..k).map(term).fold(start, |sum, term| sum + term)) };
            }
        }),
    };
    if threads == 1 {
        return sums(0..n);
    }
    let width = n.div_ceil(threads).next_multiple_of(16);
    let sums = &sums;
    run_on_threads((0..n).step_by(width).map(|start| move || sums(start..n.min(start + width))));
}

/// Whether [`gemm_batch_invariant`] takes these operands.
pub(crate) fn is_batch_invariant<E>(a: &Mat<'_, E>, b: &Mat<'_, E>) -> bool {
    a.column_stride == 1 && (b.row_stride == 1 || b.column_stride == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f32 / 997.0 - 0.5).collect()
    }

    /// `b[K, N]`: transposed, or row-major.
    fn view<E: Real>(b: &[E], k: usize, n: usize, is_transposed: bool) -> Mat<'_, E> {
        if is_transposed { Mat::new(b, n, k).t() } else { Mat::new(b, k, n) }
    }

    #[test]
    fn it_is_a_gemm() {
        let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| f64::from(x)).collect() };
        for (m, k, n) in [
            (1, 1, 1),
            (3, 5, 7),
            (2, 16, 9),
            (5, 33, 10),
            (131, 40, 23),
            (6, 9, 40),
            (4, 0, 3),
            (0, 3, 2),
            (7, 2100, 5),
            (1, 1030, 9),
        ] {
            let (a, b, before) = (numbers(m * k, 1), numbers(n * k, 2), numbers(m * n, 3));
            for (is_transposed, alpha, beta) in
                [(true, 1.0, 0.0), (true, 0.5, 1.0), (false, 1.0, 0.0), (false, 2.0, -0.5)]
            {
                let (mut c, mut c64) = (before.clone(), wide(&before));
                let into = MatMut::new(&mut c, m, n);
                let b32 = view(&b, k, n, is_transposed);
                gemm_batch_invariant(alpha, Mat::new(&a, m, k), b32, beta, into, Parallelism::Serial);
                let (a, b) = (wide(&a), wide(&b));
                let (alpha, beta) = (f64::from(alpha), f64::from(beta));
                let into = MatMut::new(&mut c64, m, n);
                let b64 = view(&b, k, n, is_transposed);
                gemm_batch_invariant(alpha, Mat::new(&a, m, k), b64, beta, into, Parallelism::Serial);
                for i in 0..m {
                    for j in 0..n {
                        let b = |p: usize| if is_transposed { b[j * k + p] } else { b[p * n + j] };
                        let sum: f64 = (0..k).map(|p| a[i * k + p] * b(p)).sum();
                        let expected = beta * f64::from(before[i * n + j]) + alpha * sum;
                        assert!((f64::from(c[i * n + j]) - expected).abs() < 1e-4, "{m}x{k}x{n} {is_transposed}");
                        assert!((c64[i * n + j] - expected).abs() < 1e-12, "{m}x{k}x{n} {is_transposed}");
                    }
                }
            }
        }
    }

    #[test]
    fn rows_that_are_added_up_may_come_in_pieces() {
        fn check<E: Real>(m: usize, k: usize, n: usize) {
            let of = |x: Vec<f32>| -> Vec<E> { x.into_iter().map(|x| E::of(f64::from(x))).collect() };
            let (a, b) = (of(numbers(m * k, 1)), of(numbers(k * n, 2)));
            let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
            let mut c = [(); 2].map(|()| vec![E::zero(); m * n]);
            gemm_batch_invariant(E::one(), a, b, E::zero(), MatMut::new(&mut c[0], m, n), Parallelism::Serial);
            for start in (0..k).step_by(8) {
                let (piece, beta) = (start..k.min(start + 8), if start == 0 { E::zero() } else { E::one() });
                let (a, b) = (a.columns(piece.clone()), b.rows(piece));
                gemm_batch_invariant(E::one(), a, b, beta, MatMut::new(&mut c[1], m, n), Parallelism::Serial);
            }
            assert!(c[0] == c[1], "{m}x{k}x{n}");
        }
        for (m, k, n) in [(1, 25, 64), (5, 33, 70), (16, 9, 20), (1, 70, 3), (4, 8, 130)] {
            check::<f32>(m, k, n);
            check::<f64>(m, k, n);
        }
    }

    #[test]
    fn a_row_has_the_same_bits_in_every_batch_and_on_every_number_of_threads() {
        let (rows, n) = (150, 110);
        for (k, is_transposed) in [1, 7, 16, 64, 77, 300, 1100].into_iter().flat_map(|k| [(k, false), (k, true)]) {
            let (a, b) = (numbers(rows * k, 1), numbers(n * k, 2));
            let product = |a: &[f32], parallelism: Parallelism| {
                let m = a.len() / k;
                let mut c = vec![f32::NAN; m * n];
                let into = MatMut::new(&mut c, m, n);
                gemm_batch_invariant(0.7, Mat::new(a, m, k), view(&b, k, n, is_transposed), 0.0, into, parallelism);
                c
            };
            let all = product(&a, Parallelism::Serial);
            for threads in [2, 3] {
                assert_eq!(all, product(&a, Parallelism::Threads(threads)), "{k}");
            }
            for size in [1, 2, 3, 4, 5, 7, 32, 149] {
                for (batch, expected) in a.chunks(size * k).zip(all.chunks(size * n)) {
                    assert_eq!(product(batch, Parallelism::Threads(2)), expected, "{size} {k} {is_transposed}");
                }
            }
        }
    }
}
