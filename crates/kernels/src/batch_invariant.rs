//! The GEMM of inference, `C = β C + A Bᵀ` with the weight `B[N, K]` as it lies in the file: each element of `C` is the dot product of
//! two contiguous rows, added up in an order that depends on `K` alone. So the bits of a row are the same in a batch of any
//! size, at any place in it, and on any number of threads: the GEMM is batch-invariant. Nothing is packed, so a weight is in
//! memory once, and of few rows each weight is read once, at the bandwidth of the memory.

use crate::flops::count;
use crate::gemm_config::Parallelism;
use crate::lanes;
use crate::mat::{Mat, MatMut};
use crate::real::Real;
use pulp::{Arch, Simd, WithSimd};
use std::marker::PhantomData;
use std::ops::Range;

/// Multiply-adds below which a second thread costs more than it saves.
const MIN_WORK: usize = 1 << 17;

/// Rows of `A` that stay in the cache while all of `B` passes.
const ROW_BLOCK: usize = 128;

/// `c[M, N] = beta c + a[M, K] bᵀ`, `b[N, K]`, with the same bits for each row of `a` whatever the others are.
///
/// # Panics
/// If the shapes do not match, or the rows of `a` or `b` are not contiguous: an error in the caller.
pub fn gemm_batch_invariant<E: Real>(
    a: Mat<'_, E>,
    b: Mat<'_, E>,
    beta: E,
    c: MatMut<'_, E>,
    parallelism: Parallelism,
) {
    let (m, k, n) = (a.rows, a.columns, b.rows);
    assert!(
        b.columns == k && (c.rows, c.columns) == (m, n) && a.column_stride == 1 && b.column_stride == 1,
        "batch-invariant GEMM of {m}x{k} and the transpose of {n}x{} into {}x{}",
        b.columns,
        c.rows,
        c.columns
    );
    if m == 0 || n == 0 {
        return;
    }
    count(m, k, n);
    let threads = match parallelism {
        Parallelism::Threads(threads) if m * k * n >= MIN_WORK => threads.clamp(1, n),
        _ => 1,
    };
    let c = Columns { start: c.data.as_mut_ptr(), row_stride: c.row_stride, borrowed: PhantomData };
    if threads == 1 {
        return dot_products(a, b, beta, c, 0..n);
    }
    let width = n.div_ceil(threads);
    rayon::in_place_scope(|scope| {
        for start in (width..n).step_by(width) {
            scope.spawn(move |_| dot_products(a, b, beta, c, start..n.min(start + width)));
        }
        dot_products(a, b, beta, c, 0..width);
    });
}

/// Where threads write `C`, each to columns of its own.
#[derive(Clone, Copy)]
struct Columns<'a, E> {
    start: *mut E,
    row_stride: usize,
    borrowed: PhantomData<&'a mut [E]>,
}

// SAFETY: it stands for a mutable slice of elements that are `Send`; whoever copies it keeps the columns apart.
unsafe impl<E: Send> Send for Columns<'_, E> {}

impl<E: Real> Columns<'_, E> {
    #[inline(always)]
    fn put(self, row: usize, column: usize, beta: E, value: E) {
        // SAFETY: `row` and `column` are below those of the `MatMut` that `self` was made from, whose slice holds every such
        // element, and the ranges of columns that the threads were given are disjoint.
        unsafe {
            let element = self.start.add(row * self.row_stride + column);
            *element = if beta == E::zero() { value } else { beta * *element + value };
        }
    }
}

fn dot_products<E: Real>(a: Mat<'_, E>, b: Mat<'_, E>, beta: E, c: Columns<'_, E>, columns: Range<usize>) {
    match (a.as_f32(), b.as_f32()) {
        (Some(a), Some(b)) => Arch::new().dispatch(Tiles { a, b, beta: beta.f64() as f32, c: c.as_f32(), columns }),
        // f64 is for tests.
        _ => (0..a.rows).for_each(|i| {
            for j in columns.clone() {
                let (a, b) = (&a.data[i * a.row_stride..][..a.columns], &b.data[j * b.row_stride..][..b.columns]);
                c.put(i, j, beta, lanes::zip_sum(a, b, |x, y| x * y));
            }
        }),
    }
}

impl<'a, E: Real> Columns<'a, E> {
    /// The same pointer where `E` is f32.
    fn as_f32(self) -> Columns<'a, f32> {
        Columns { start: self.start.cast(), row_stride: self.row_stride, borrowed: PhantomData }
    }
}

/// All tiles of some columns of `C`, in f32.
struct Tiles<'a> {
    a: Mat<'a, f32>,
    b: Mat<'a, f32>,
    beta: f32,
    c: Columns<'a, f32>,
    columns: Range<usize>,
}

impl WithSimd for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for start in (0..self.a.rows).step_by(ROW_BLOCK) {
            let rows = start..self.a.rows.min(start + ROW_BLOCK);
            // A tile holds as many sums as there are registers beside those of a row of `A` and the rows of `B`.
            match (rows.len(), S::REGISTER_COUNT >= 32) {
                (1, _) => self.block::<S, 1, 8>(simd, rows),
                (2, _) => self.block::<S, 2, 4>(simd, rows),
                (3, _) => self.block::<S, 3, 3>(simd, rows),
                (_, false) => self.block::<S, 4, 3>(simd, rows),
                (_, true) => self.block::<S, 6, 4>(simd, rows),
            }
        }
    }
}

impl Tiles<'_> {
    /// Tiles of `MR` rows and `NR` columns, and smaller ones at the edges.
    #[inline(always)]
    fn block<S: Simd, const MR: usize, const NR: usize>(&self, simd: S, rows: Range<usize>) {
        let mut column = self.columns.start;
        while column < self.columns.end {
            let is_whole = column + NR <= self.columns.end;
            let mut row = rows.start;
            while row < rows.end {
                let left = rows.end - row;
                match is_whole {
                    true if left >= MR => self.tile::<S, MR, NR>(simd, &mut row, column),
                    true if left >= 2 => self.tile::<S, 2, NR>(simd, &mut row, column),
                    true => self.tile::<S, 1, NR>(simd, &mut row, column),
                    false if left >= MR => self.tile::<S, MR, 1>(simd, &mut row, column),
                    false => self.tile::<S, 1, 1>(simd, &mut row, column),
                }
            }
            column += if is_whole { NR } else { 1 };
        }
    }

    /// `MR` by `NR` dot products from `row` on, which moves on.
    #[inline(always)]
    fn tile<S: Simd, const MR: usize, const NR: usize>(&self, simd: S, row: &mut usize, column: usize) {
        struct Tile<'a, 'b, S, const MR: usize, const NR: usize>(S, &'b Tiles<'a>, usize, usize);
        impl<S: Simd, const MR: usize, const NR: usize> pulp::NullaryFnOnce for Tile<'_, '_, S, MR, NR> {
            type Output = [[f32; NR]; MR];

            #[inline(always)]
            fn call(self) -> Self::Output {
                let Self(simd, Tiles { a, b, .. }, row, column) = self;
                dot_tile(
                    simd,
                    (&a.data[row * a.row_stride..], a.row_stride),
                    (&b.data[column * b.row_stride..], b.row_stride),
                    a.columns,
                )
            }
        }
        let sums = simd.vectorize(Tile::<S, MR, NR>(simd, self, *row, column));
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                self.c.put(*row + i, column + j, self.beta, sum);
            }
        }
        *row += MR;
    }
}

/// The dot products of `MR` rows with `NR` rows, of `k` elements each: in the lanes of a register, which are added up at the end.
#[inline(always)]
fn dot_tile<S: Simd, const MR: usize, const NR: usize>(
    simd: S,
    (a, a_stride): (&[f32], usize),
    (b, b_stride): (&[f32], usize),
    k: usize,
) -> [[f32; NR]; MR] {
    let steps = k / S::F32_LANES;
    // Loops over arrays, as closures are not inlined with the instructions of `S`.
    let (mut a_rows, mut a_rest): ([&[S::f32s]; MR], [&[f32]; MR]) = ([&[]; MR], [&[]; MR]);
    let (mut b_rows, mut b_rest): ([&[S::f32s]; NR], [&[f32]; NR]) = ([&[]; NR], [&[]; NR]);
    for i in 0..MR {
        let (whole, rest) = S::as_simd_f32s(&a[i * a_stride..][..k]);
        (a_rows[i], a_rest[i]) = (&whole[..steps], rest);
    }
    for j in 0..NR {
        let (whole, rest) = S::as_simd_f32s(&b[j * b_stride..][..k]);
        (b_rows[j], b_rest[j]) = (&whole[..steps], rest);
    }
    let mut sums = [[simd.splat_f32s(0.0); NR]; MR];
    for p in 0..steps {
        let mut b = [simd.splat_f32s(0.0); NR];
        for j in 0..NR {
            b[j] = b_rows[j][p];
        }
        for i in 0..MR {
            let a = a_rows[i][p];
            for j in 0..NR {
                sums[i][j] = simd.mul_add_f32s(a, b[j], sums[i][j]);
            }
        }
    }
    let mut totals = [[0.0; NR]; MR];
    for i in 0..MR {
        for j in 0..NR {
            if steps * S::F32_LANES < k {
                let (a, b) = (simd.partial_load_f32s(a_rest[i]), simd.partial_load_f32s(b_rest[j]));
                sums[i][j] = simd.mul_add_f32s(a, b, sums[i][j]);
            }
            totals[i][j] = simd.reduce_sum_f32s(sums[i][j]);
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f32 / 997.0 - 0.5).collect()
    }

    fn product(a: &[f32], b: &[f32], k: usize, parallelism: Parallelism) -> Vec<f32> {
        let (m, n) = (a.len() / k, b.len() / k);
        let mut c = vec![f32::NAN; m * n];
        gemm_batch_invariant(Mat::new(a, m, k), Mat::new(b, n, k), 0.0, MatMut::new(&mut c, m, n), parallelism);
        c
    }

    #[test]
    fn each_element_is_the_dot_product_of_two_rows() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 7), (2, 16, 9), (5, 33, 10), (131, 40, 23), (4, 0, 3), (0, 3, 2)] {
            let (a, b, before) = (numbers(m * k, 1), numbers(n * k, 2), numbers(m * n, 3));
            for beta in [0.0, 1.0] {
                let mut c = before.clone();
                let into = MatMut::new(&mut c, m, n);
                gemm_batch_invariant(Mat::new(&a, m, k), Mat::new(&b, n, k), beta, into, Parallelism::Serial);
                let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| f64::from(x)).collect() };
                let (a, b) = (wide(&a), wide(&b));
                let mut c64 = wide(&before);
                let into = MatMut::new(&mut c64, m, n);
                gemm_batch_invariant(
                    Mat::new(&a, m, k),
                    Mat::new(&b, n, k),
                    f64::from(beta),
                    into,
                    Parallelism::Serial,
                );
                for i in 0..m {
                    for j in 0..n {
                        let sum: f64 = (0..k).map(|p| a[i * k + p] * b[j * k + p]).sum();
                        let expected = f64::from(beta * before[i * n + j]) + sum;
                        assert!((f64::from(c[i * n + j]) - expected).abs() < 1e-5, "{m}x{k}x{n}");
                        assert!((c64[i * n + j] - expected).abs() < 1e-12, "{m}x{k}x{n}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_in_every_batch_and_on_every_number_of_threads() {
        let (rows, n) = (150, 110);
        for k in [1, 7, 16, 64, 77, 300] {
            let (a, b) = (numbers(rows * k, 1), numbers(n * k, 2));
            let all = product(&a, &b, k, Parallelism::Serial);
            for threads in [2, 3] {
                assert_eq!(all, product(&a, &b, k, Parallelism::Threads(threads)), "{k}");
            }
            for size in [1, 2, 3, 4, 5, 7, 32, 149] {
                for (batch, expected) in a.chunks(size * k).zip(all.chunks(size * n)) {
                    assert_eq!(product(batch, &b, k, Parallelism::Threads(2)), expected, "{size} {k}");
                }
            }
            // Nor does a column depend on the others.
            for (j, row) in b.chunks(k).enumerate().step_by(9) {
                let column: Vec<f32> = all.iter().skip(j).step_by(n).copied().collect();
                assert_eq!(product(&a, row, k, Parallelism::Serial), column);
            }
        }
    }
}
