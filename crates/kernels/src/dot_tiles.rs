//! Tiles of a product whose `B` has contiguous columns, as the transpose of a weight has: dot products of contiguous rows.

use crate::columns::Columns;
use crate::mat::Mat;
use pulp::{NullaryFnOnce, Simd, WithSimd};
use std::ops::Range;

/// Rows of `A` that stay in the cache while all of `B` passes.
const ROW_BLOCK: usize = 128;

/// All tiles of some columns of `C`, each element a dot product in the lanes of a register, which are added up at its end.
pub(crate) struct DotTiles<'a> {
    pub(crate) a: Mat<'a, f32>,
    pub(crate) b: Mat<'a, f32>,
    pub(crate) c: Columns<'a, f32>,
    pub(crate) columns: Range<usize>,
}

impl WithSimd for DotTiles<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for start in (0..self.a.rows).step_by(ROW_BLOCK) {
            let rows = start..self.a.rows.min(start + ROW_BLOCK);
            // As many sums as there are registers beside those of one row of `A` and of the columns of `B`.
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

impl DotTiles<'_> {
    /// Tiles of `MR` rows and `NR` columns, and smaller ones at the edges.
    #[inline(always)]
    fn block<S: Simd, const MR: usize, const NR: usize>(&self, simd: S, rows: Range<usize>) {
        let mut column = self.columns.start;
        while column < self.columns.end {
            let is_whole = column + NR <= self.columns.end;
            let mut row = rows.start;
            while row < rows.end {
                let left = rows.end - row;
                row += match is_whole {
                    true if left >= MR => self.tile::<S, MR, NR>(simd, row, column),
                    true if left >= 2 => self.tile::<S, 2, NR>(simd, row, column),
                    true => self.tile::<S, 1, NR>(simd, row, column),
                    false if left >= MR => self.tile::<S, MR, 1>(simd, row, column),
                    false => self.tile::<S, 1, 1>(simd, row, column),
                };
            }
            column += if is_whole { NR } else { 1 };
        }
    }

    /// `MR` by `NR` elements; returns `MR`.
    #[inline(always)]
    fn tile<S: Simd, const MR: usize, const NR: usize>(&self, simd: S, row: usize, column: usize) -> usize {
        struct Call<'a, 'b, S, const MR: usize, const NR: usize>(S, &'b DotTiles<'a>, usize, usize);
        impl<S: Simd, const MR: usize, const NR: usize> NullaryFnOnce for Call<'_, '_, S, MR, NR> {
            type Output = [[f32; NR]; MR];

            #[inline(always)]
            fn call(self) -> Self::Output {
                let Self(simd, DotTiles { a, b, .. }, row, column) = self;
                let a_rows = (&a.data[row * a.row_stride..], a.row_stride);
                dot_products(simd, a_rows, (&b.data[column * b.column_stride..], b.column_stride), a.columns)
            }
        }
        let sums = simd.vectorize(Call::<S, MR, NR>(simd, self, row, column));
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                self.c.put(row + i, column + j, sum);
            }
        }
        MR
    }
}

/// The dot products of `MR` vectors and `NR` vectors of `k` elements, each so many elements behind the one before it.
#[inline(always)]
fn dot_products<S: Simd, const MR: usize, const NR: usize>(
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
