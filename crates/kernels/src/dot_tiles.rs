//! Tiles of a product whose `B` has contiguous columns, as the transpose of a weight has: dot products of contiguous rows.

use crate::columns::Columns;
use crate::lane_sums::lane_sums;
use crate::mat::Mat;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// The longest dot product at once; longer ones are added up piece by piece, so that the vectors of a tile stay in the first cache.
const MAX_K: usize = 1024;

/// Elements of `A` that stay in the first cache while a block of `B` passes, and of that block in the second cache.
const A_BLOCK: usize = 4096;
const B_BLOCK: usize = 65_536;

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
        // As many sums as there are registers beside those of one row of `A` and of the columns of `B`.
        match (self.a.rows, S::REGISTER_COUNT >= 32) {
            (1, _) => self.few_rows::<S, 1, 8>(simd),
            (2, _) => self.few_rows::<S, 2, 4>(simd),
            (3, _) => self.few_rows::<S, 3, 3>(simd),
            (_, false) => self.blocks::<S, 4, 3>(simd),
            (_, true) => self.blocks::<S, 6, 4>(simd),
        }
    }
}

impl DotTiles<'_> {
    /// The pieces of the inner length: they depend on nothing else.
    #[inline(always)]
    fn piece(&self) -> usize {
        let pieces = self.a.columns.div_ceil(MAX_K).max(1);
        self.a.columns.div_ceil(pieces).next_multiple_of(16)
    }

    /// Few rows: `B` is read once, row by row.
    #[inline(always)]
    fn few_rows<S: Simd, const MR: usize, const NR: usize>(&self, simd: S) {
        let (k, piece) = (self.a.columns, self.piece());
        let mut column = self.columns.start;
        while column < self.columns.end {
            let is_whole = column + NR <= self.columns.end;
            let mut start = 0;
            loop {
                let (inner, a) = (start..k.min(start + piece), &self.a.data[start..]);
                match is_whole {
                    true => self.tile::<S, MR, NR>(simd, a, self.a.row_stride, 0, column, inner),
                    false => self.tile::<S, MR, 1>(simd, a, self.a.row_stride, 0, column, inner),
                }
                start += piece;
                if start >= k {
                    break;
                }
            }
            column += if is_whole { NR } else { 1 };
        }
    }

    /// Many rows: block by block of `A` and of `B`, piece by piece of the inner length.
    #[inline(always)]
    fn blocks<S: Simd, const MR: usize, const NR: usize>(&self, simd: S) {
        let (k, m, piece) = (self.a.columns, self.a.rows, self.piece());
        let rows = (A_BLOCK / piece.max(1) / MR * MR).clamp(MR, 64 / MR * MR);
        let columns = (B_BLOCK / piece.max(1) / NR * NR).max(NR);
        // A copy of the rows: where they are powers of two apart, they would share the same places in the cache.
        let mut copy = [0.0_f32; 6 * MAX_K];
        let mut start = 0;
        loop {
            let inner = start..k.min(start + piece);
            for first in (self.columns.clone()).step_by(columns) {
                let columns = first..self.columns.end.min(first + columns);
                for row in (0..m).step_by(rows) {
                    let rows = row..m.min(row + rows);
                    for (row, to) in rows.clone().zip(copy.chunks_exact_mut(inner.len().max(1))) {
                        to.copy_from_slice(&self.a.data[row * self.a.row_stride..][inner.clone()]);
                    }
                    self.block::<S, MR, NR>(simd, &copy, rows, columns.clone(), inner.clone());
                }
            }
            start += piece;
            if start >= k {
                break;
            }
        }
    }

    /// Tiles of `MR` rows and `NR` columns, and smaller ones at the edges.
    #[inline(always)]
    fn block<S: Simd, const MR: usize, const NR: usize>(
        &self,
        simd: S,
        a: &[f32],
        rows: Range<usize>,
        columns: Range<usize>,
        inner: Range<usize>,
    ) {
        let (mut column, stride) = (columns.start, inner.len());
        while column < columns.end {
            let is_whole = column + NR <= columns.end;
            let mut row = rows.start;
            while row < rows.end {
                let (left, a) = (rows.end - row, &a[(row - rows.start) * stride..]);
                row += match is_whole {
                    true if left >= MR => {
                        self.tile::<S, MR, NR>(simd, a, stride, row, column, inner.clone());
                        MR
                    }
                    true if left >= 2 => {
                        self.tile::<S, 2, NR>(simd, a, stride, row, column, inner.clone());
                        2
                    }
                    true => {
                        self.tile::<S, 1, NR>(simd, a, stride, row, column, inner.clone());
                        1
                    }
                    false => {
                        self.tile::<S, 1, 1>(simd, a, stride, row, column, inner.clone());
                        1
                    }
                };
            }
            column += if is_whole { NR } else { 1 };
        }
    }

    /// `MR` by `NR` elements of `C`, from the rows of `a`, so many elements apart.
    #[inline(always)]
    fn tile<S: Simd, const MR: usize, const NR: usize>(
        &self,
        simd: S,
        a: &[f32],
        a_stride: usize,
        row: usize,
        column: usize,
        inner: Range<usize>,
    ) {
        let b = &self.b.data[column * self.b.column_stride + inner.start..];
        let sums = dot_products::<S, MR, NR>(simd, (a, a_stride), (b, self.b.column_stride), inner.len());
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                // SAFETY: the tile lies within the rows of `a` and the columns of this thread.
                unsafe { self.c.put(row + i, column + j, inner.start > 0, sum) };
            }
        }
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
    // Pointers, so that they stay in registers; and loops over arrays, as closures are not inlined with the instructions of `S`.
    let (mut a_rows, mut b_rows) = ([std::ptr::null::<S::f32s>(); MR], [std::ptr::null::<S::f32s>(); NR]);
    let (mut a_rest, mut b_rest): ([&[f32]; MR], [&[f32]; NR]) = ([&[]; MR], [&[]; NR]);
    for i in 0..MR {
        let (whole, rest) = S::as_simd_f32s(&a[i * a_stride..][..k]);
        (a_rows[i], a_rest[i]) = (whole.as_ptr(), rest);
    }
    for j in 0..NR {
        let (whole, rest) = S::as_simd_f32s(&b[j * b_stride..][..k]);
        (b_rows[j], b_rest[j]) = (whole.as_ptr(), rest);
    }
    // Opaque, or LLVM rematerialises the pointers in the loop.
    let (a_rows, b_rows) = std::hint::black_box((a_rows, b_rows));
    let mut sums = [[simd.splat_f32s(0.0); NR]; MR];
    for p in 0..steps {
        let mut b = [simd.splat_f32s(0.0); NR];
        for j in 0..NR {
            // SAFETY: `p` is below `steps`, the registers of each of these slices of `k` elements.
            b[j] = unsafe { b_rows[j].add(p).read() };
        }
        for i in 0..MR {
            // SAFETY: as above.
            let a = unsafe { a_rows[i].add(p).read() };
            for j in 0..NR {
                sums[i][j] = simd.mul_add_f32s(a, b[j], sums[i][j]);
            }
        }
    }
    if steps * S::F32_LANES < k {
        let mut b = [simd.splat_f32s(0.0); NR];
        for j in 0..NR {
            b[j] = simd.partial_load_f32s(b_rest[j]);
        }
        for i in 0..MR {
            let a = simd.partial_load_f32s(a_rest[i]);
            for j in 0..NR {
                sums[i][j] = simd.mul_add_f32s(a, b[j], sums[i][j]);
            }
        }
    }
    let mut totals = [[0.0; NR]; MR];
    if MR >= 4 {
        for j in 0..NR {
            let mut column = [simd.splat_f32s(0.0); MR];
            for i in 0..MR {
                column[i] = sums[i][j];
            }
            let column = lane_sums(simd, &column);
            for i in 0..MR {
                totals[i][j] = column[i];
            }
        }
    } else {
        for i in 0..MR {
            totals[i] = lane_sums(simd, &sums[i]);
        }
    }
    totals
}
