//! Tiles of a product whose `B` has contiguous rows, as the values of an attention have: each row is scaled by an element of `A`, and
//! added.

use crate::columns::Columns;
use crate::mat::Mat;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// All tiles of some columns of `C`, each element a chain of multiply-adds along `B`'s rows. Where sums are added to `C` as they are, the chain goes on from what is there: so rows of `B`
/// may come in several pieces, and the bits are those of one.
pub(crate) struct AxpyTiles<'a> {
    pub(crate) a: Mat<'a, f32>,
    pub(crate) b: Mat<'a, f32>,
    pub(crate) c: Columns<'a, f32>,
    pub(crate) columns: Range<usize>,
}

impl WithSimd for AxpyTiles<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.c.is_added_to() {
            true => Self { c: self.c.replaced(), ..self }.all_rows::<S, true>(simd),
            false => self.all_rows::<S, false>(simd),
        }
    }
}

impl AxpyTiles<'_> {
    #[inline(always)]
    fn all_rows<S: Simd, const GOES_ON: bool>(&self, simd: S) {
        let mut row = 0;
        while row < self.a.rows {
            row += match self.a.rows - row {
                // As many sums as there are registers beside those of a row of `B`.
                8.. if S::REGISTER_COUNT >= 32 => self.rows::<S, 8, 2, 1, GOES_ON>(simd, row),
                4.. if S::REGISTER_COUNT >= 32 => self.rows::<S, 4, 4, 2, GOES_ON>(simd, row),
                4.. => self.rows::<S, 4, 2, 1, GOES_ON>(simd, row),
                // A head of an attention may have no more columns than four registers.
                _ => self.rows::<S, 1, 8, 4, GOES_ON>(simd, row),
            };
        }
    }

    /// `MR` rows in tiles of `NR` vectors, then of `FEWER`, then of one; returns `MR`.
    #[inline(always)]
    fn rows<S: Simd, const MR: usize, const NR: usize, const FEWER: usize, const GOES_ON: bool>(
        &self,
        simd: S,
        row: usize,
    ) -> usize {
        let (mut column, end) = (self.columns.start, self.columns.end);
        while column < end {
            column += match end - column {
                left if left >= NR * S::F32_LANES => self.tile::<S, MR, NR, GOES_ON>(simd, row, column),
                left if left >= FEWER * S::F32_LANES => self.tile::<S, MR, FEWER, GOES_ON>(simd, row, column),
                left if left >= S::F32_LANES => self.tile::<S, MR, 1, GOES_ON>(simd, row, column),
                _ => self.column::<MR, GOES_ON>(row, column),
            };
        }
        MR
    }

    /// `MR` rows of `NR` vectors; returns their columns.
    #[expect(clippy::needless_range_loop, reason = "the loops are unrolled, and what they index becomes registers")]
    #[inline(always)]
    fn tile<S: Simd, const MR: usize, const NR: usize, const GOES_ON: bool>(
        &self,
        simd: S,
        row: usize,
        column: usize,
    ) -> usize {
        let Self { a, b, .. } = self;
        let mut sums = [[simd.splat_f32s(0.0); NR]; MR];
        if GOES_ON {
            for i in 0..MR {
                // SAFETY: the tile lies within the rows of `a` and the columns of this thread.
                let c = unsafe { self.c.row(row + i, column..column + NR * S::F32_LANES) };
                for j in 0..NR {
                    sums[i][j] = S::as_simd_f32s(c).0[j];
                }
            }
        }
        let a_rows = &a.data[row * a.row_stride..][..(MR - 1) * a.row_stride + a.columns];
        let b_rows = &b.data[column..][..(a.columns - 1) * b.row_stride + NR * S::F32_LANES];
        let (mut a_start, mut b_start) = (a_rows.as_ptr(), b_rows.as_ptr());
        for _ in 0..a.columns {
            let mut whole = [simd.splat_f32s(0.0); NR];
            for j in 0..NR {
                // SAFETY: the slice above holds `NR` registers of each row of `b`.
                whole[j] = unsafe { b_start.cast::<S::f32s>().add(j).read() };
            }
            for i in 0..MR {
                // SAFETY: that of `a` holds `MR` rows.
                let a = simd.splat_f32s(unsafe { a_start.add(i * a.row_stride).read() });
                for j in 0..NR {
                    sums[i][j] = simd.mul_add_f32s(a, whole[j], sums[i][j]);
                }
            }
            a_start = a_start.wrapping_add(1);
            b_start = b_start.wrapping_add(b.row_stride);
        }
        for (i, sums) in sums.iter().enumerate() {
            // SAFETY: as above.
            unsafe { self.c.put_all(row + i, column, false, bytemuck::cast_slice(sums)) };
        }
        NR * S::F32_LANES
    }

    /// `MR` elements of one column: the same multiply-adds, one by one; returns one.
    #[inline(always)]
    fn column<const MR: usize, const GOES_ON: bool>(&self, row: usize, column: usize) -> usize {
        let Self { a, b, c, .. } = self;
        for row in row..row + MR {
            let terms = (0..a.columns).map(|p| (a.data[row * a.row_stride + p], b.data[p * b.row_stride + column]));
            let start = match GOES_ON {
                // SAFETY: as above.
                true => unsafe { c.row(row, column..column + 1)[0] },
                false => 0.0,
            };
            // SAFETY: as above.
            unsafe { c.put(row, column, false, terms.fold(start, |sum, (a, b)| a.mul_add(b, sum))) };
        }
        1
    }
}
