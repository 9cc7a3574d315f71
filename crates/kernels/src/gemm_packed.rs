//! `C = β C + A Wᵀ` with a packed weight, batch-invariant: the bits of a row of the result are the same in a batch of any size and on any
//! number of threads.

use crate::columns::Columns;
use crate::flops::count;
use crate::gemm_config::Parallelism;
use crate::mat::{Mat, MatMut};
use crate::packed_weight::PackedRows;
use crate::panel_gemm::gemm_panels;
use crate::real::Real;

/// `c[M, O] = beta c + a[M, I] Wᵀ`. With `beta` zero, `c` is not read. Only f32 is computed: no weight of f64 is packed.
///
/// # Panics
/// If the shapes do not match, or `a` is not row-major: an error in the caller.
pub fn gemm_packed<E: Real>(a: Mat<'_, E>, w: PackedRows<'_>, beta: E, c: MatMut<'_, E>, parallelism: Parallelism) {
    assert!(a.columns == w.columns && c.rows == a.rows && c.columns == w.rows, "a GEMM with a weight of another shape");
    assert!(a.column_stride == 1, "a GEMM whose A is not row-major");
    let (m, k, n) = (a.rows, a.columns, w.rows);
    let (Some(a), Some(c)) = (a.as_f32(), Columns::new(E::one(), beta, c).as_f32()) else { return };
    if m == 0 || n == 0 {
        return;
    }
    count(m, k, n);
    let panels = w.panels();
    gemm_panels(a, w, c, panels.clone(), parallelism.threads(m * k * n, panels.len()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed_weight::PackedMut;
    use std::ops::Range;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f32 / 997.0 - 0.5).collect()
    }

    /// The packed rows of `w[N, K]`.
    fn packed(w: &[f32], n: usize, k: usize) -> Vec<f32> {
        let mut panels = vec![f32::NAN; PackedMut::len_of(n, k)];
        PackedMut::new(&mut panels, n, k).copy_from(w);
        panels
    }

    fn multiply(a: &[f32], k: usize, w: PackedRows<'_>, beta: f32, c: &mut [f32], threads: usize) {
        let (m, parallelism) = (a.len() / k.max(1), Parallelism::Threads(threads));
        gemm_packed(Mat::new(a, m, k), w, beta, MatMut::new(c, m, w.rows), parallelism);
    }

    #[test]
    fn it_is_a_gemm_of_some_rows() {
        let shapes =
            [(1, 1, 1), (3, 5, 7), (2, 16, 40), (5, 33, 130), (131, 40, 23), (6, 9, 48), (7, 1100, 21), (100, 513, 65)];
        for (m, k, n) in shapes {
            let (a, w, before) = (numbers(m * k, 1), numbers(n * k, 2), numbers(m * n, 3));
            let panels = packed(&w, n, k);
            assert!((0..n).all(|row| PackedRows::new(&panels, row..n, k).row(0).eq(w[row * k..][..k].iter().copied())));
            for (rows, beta) in [(0..n, 0.0), (0..n, 1.0), (n / 3..n, 0.0), (n / 3..n - n / 5, -0.5)] {
                let mut c = before[..m * rows.len()].to_vec();
                multiply(&a, k, PackedRows::new(&panels, rows.clone(), k), beta, &mut c, 1);
                for (i, j) in (0..m).flat_map(|i| (0..rows.len()).map(move |j| (i, j))) {
                    let term = |p| f64::from(a[i * k + p]) * f64::from(w[(rows.start + j) * k + p]);
                    let at = i * rows.len() + j;
                    let expected = f64::from(beta * before[at]) + (0..k).map(term).sum::<f64>();
                    assert!((f64::from(c[at]) - expected).abs() < 1e-4, "{m}x{k}x{n} {rows:?} {beta}");
                }
            }
        }
    }

    #[test]
    fn empty_sums_are_zero() {
        let mut c = [f32::NAN; 6];
        gemm_packed(
            Mat::new(&[], 2, 0),
            PackedRows::new(&[], 0..3, 0),
            0.0,
            MatMut::new(&mut c, 2, 3),
            Parallelism::Serial,
        );
        assert_eq!(c, [0.0; 6]);
    }

    #[test]
    fn a_row_has_the_same_bits_in_every_batch_on_every_number_of_threads_and_of_every_part_of_the_weight() {
        let (rows, n) = (150, 110);
        for k in [1, 7, 16, 64, 77, 300, 1100] {
            let (a, panels) = (numbers(rows * k, 1), packed(&numbers(n * k, 2), n, k));
            let product = |a: &[f32], some: Range<usize>, threads: usize| {
                let mut c = vec![f32::NAN; a.len() / k * some.len()];
                multiply(a, k, PackedRows::new(&panels, some, k), 0.0, &mut c, threads);
                c
            };
            let all = product(&a, 0..n, 1);
            for threads in [2, 3] {
                assert_eq!(all, product(&a, 0..n, threads), "{k}");
            }
            // And where something is added.
            let mut added = [3.3; 2].map(|before| vec![before; rows * 33]);
            let some = PackedRows::new(&panels, 37..70, k);
            multiply(&a, k, some, 0.3, &mut added[0], 1);
            a.chunks(k).zip(added[1].chunks_mut(33)).for_each(|(a, c)| multiply(a, k, some, 0.3, c, 1));
            assert_eq!(added[0], added[1], "{k}");
            for size in [1, 2, 3, 4, 5, 7, 32, 149] {
                for (batch, expected) in a.chunks(size * k).zip(all.chunks(size * n)) {
                    assert_eq!(product(batch, 0..n, 2), expected, "{size} {k}");
                }
            }
            let expected = all.chunks_exact(n).flat_map(|row| &row[37..70]);
            assert!(product(&a, 37..70, 1).iter().eq(expected), "{k}");
        }
    }

    /// By the definition: blocks of the inner length, each a chain of multiply-adds.
    #[test]
    fn the_bits_are_those_of_plain_multiply_adds() {
        let (m, k, n) = (9, 1100, 33);
        let (a, w) = (numbers(m * k, 1), numbers(n * k, 2));
        let (panels, mut c) = (packed(&w, n, k), vec![0.0; m * n]);
        multiply(&a, k, PackedRows::new(&panels, 0..n, k), 0.0, &mut c, 2);
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let block = |range: Range<usize>| range.fold(0.0_f32, |sum, p| a[i * k + p].mul_add(w[j * k + p], sum));
            let blocks = (0..k).step_by(crate::strips::K_BLOCK);
            let sums = blocks.map(|start| block(start..k.min(start + crate::strips::K_BLOCK)));
            assert_eq!(c[i * n + j], sums.reduce(|sum, block| sum + block).unwrap());
        }
    }
}
