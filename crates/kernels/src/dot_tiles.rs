//! Tiles of a product whose `B` has contiguous columns, as the transpose of a weight has: dot products of contiguous rows.

use crate::columns::Columns;
use crate::lane_sums::lane_sums;
use crate::mat::Mat;
use crate::prefetch::{Prefetch, fetch};
use pulp::{Simd, WithSimd};
use std::cell::RefCell;
use std::ops::Range;

/// The longest dot product at once; longer ones are added up piece by piece, so that the vectors of a tile stay in the first cache.
const MAX_K: usize = 768;

/// Up to this length, dot products are short.
const SHORT: usize = 128;

/// Elements of the panel of `B` that stays in the first cache while all rows of a block of `A` pass, and of that block in the
/// second cache.
const B_PANEL: usize = 3072;
const A_BLOCK: usize = 65_536;

thread_local! {
    /// Rows of `A`, one after the other: where they are powers of two apart, they would share the same places in the cache.
    static A_COPY: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

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
            (_, true) if self.a.columns <= SHORT => self.short(simd),
            (_, true) => self.blocks::<S, 6, 4>(simd),
        }
    }
}

impl DotTiles<'_> {
    /// The pieces of the inner length: they depend on nothing else.
    #[inline(always)]
    fn piece(&self) -> usize {
        let pieces = self.a.columns.div_ceil(MAX_K);
        self.a.columns.div_ceil(pieces).next_multiple_of(16)
    }

    /// The pieces of the inner length, one after the other.
    #[inline(always)]
    fn pieces(&self) -> impl Iterator<Item = Range<usize>> {
        let (k, piece) = (self.a.columns, self.piece());
        (0..k).step_by(piece).map(move |start| start..k.min(start + piece))
    }

    /// Few rows: `B` is read once, row by row.
    #[inline(always)]
    fn few_rows<S: Simd, const MR: usize, const NR: usize>(&self, simd: S) {
        let mut column = self.columns.start;
        while column < self.columns.end {
            let is_whole = column + NR <= self.columns.end;
            for inner in self.pieces() {
                let a = (&self.a.data[inner.start..], self.a.row_stride);
                match is_whole {
                    true => self.tile::<S, MR, NR>(simd, a, 0, column, inner, Prefetch::NONE),
                    false => self.tile::<S, MR, 1>(simd, a, 0, column, inner, Prefetch::NONE),
                }
            }
            column += if is_whole { NR } else { 1 };
        }
    }

    /// Short dot products, as in a head of an attention: all rows for each four columns, whose lanes are added up together.
    #[inline(always)]
    fn short<S: Simd>(&self, simd: S) {
        let mut column = self.columns.start;
        while column < self.columns.end {
            column += match self.columns.end - column {
                4.. => self.short_columns::<S, 4>(simd, column),
                _ => self.short_columns::<S, 1>(simd, column),
            };
        }
    }

    /// The same for `NR` columns; returns `NR`.
    #[inline(always)]
    fn short_columns<S: Simd, const NR: usize>(&self, simd: S, column: usize) -> usize {
        let (mut row, rows) = (0, self.a.rows);
        while row < rows {
            row += match rows - row {
                4.. => self.short_tile::<S, 4, NR>(simd, row, column),
                3 => self.short_tile::<S, 3, NR>(simd, row, column),
                2 => self.short_tile::<S, 2, NR>(simd, row, column),
                _ => self.short_tile::<S, 1, NR>(simd, row, column),
            };
        }
        NR
    }

    /// `MR` by `NR` elements of `C`; returns `MR`.
    #[expect(clippy::needless_range_loop, reason = "the loops are unrolled, and what they index becomes registers")]
    #[inline(always)]
    fn short_tile<S: Simd, const MR: usize, const NR: usize>(&self, simd: S, row: usize, column: usize) -> usize {
        let k = self.a.columns;
        let steps = k / S::F32_LANES;
        let a = &self.a.data[row * self.a.row_stride..][..(MR - 1) * self.a.row_stride + k];
        let b = &self.b.data[column * self.b.column_stride..][..(NR - 1) * self.b.column_stride + k];
        let mut sums = [[simd.splat_f32s(0.0); NR]; MR];
        let (a_start, b_start) = (a.as_ptr(), b.as_ptr());
        for p in 0..steps {
            let mut b_registers = [simd.splat_f32s(0.0); NR];
            for j in 0..NR {
                // SAFETY: the slice of `b` above holds `NR` columns, each of `steps` registers or more.
                b_registers[j] =
                    unsafe { b_start.add(j * self.b.column_stride + p * S::F32_LANES).cast::<S::f32s>().read() };
            }
            for i in 0..MR {
                // SAFETY: that of `a` holds `MR` rows.
                let a = unsafe { a_start.add(i * self.a.row_stride + p * S::F32_LANES).cast::<S::f32s>().read() };
                for j in 0..NR {
                    sums[i][j] = simd.mul_add_f32s(a, b_registers[j], sums[i][j]);
                }
            }
        }
        if steps * S::F32_LANES < k {
            for i in 0..MR {
                let a = simd.partial_load_f32s(&a[i * self.a.row_stride..][steps * S::F32_LANES..k]);
                for j in 0..NR {
                    let b = simd.partial_load_f32s(&b[j * self.b.column_stride..][steps * S::F32_LANES..k]);
                    sums[i][j] = simd.mul_add_f32s(a, b, sums[i][j]);
                }
            }
        }
        for (i, sums) in totals(simd, &sums).iter().enumerate() {
            // SAFETY: the tile lies within the rows of `a` and the columns of this thread.
            unsafe { self.c.put_all(row + i, column, false, sums) };
        }
        MR
    }

    /// Many rows: all rows of a block of `A` for each panel of `B`, piece by piece of the inner length, while the next panel comes
    /// from memory.
    #[inline(always)]
    fn blocks<S: Simd, const MR: usize, const NR: usize>(&self, simd: S) {
        let (m, piece) = (self.a.rows, self.piece());
        let rows = (A_BLOCK / piece / MR * MR).max(MR);
        // Rows of `B` that are powers of two apart share places in the cache.
        let panel = if piece < self.a.columns { B_PANEL * 2 / 3 } else { B_PANEL };
        let width = (panel / piece / NR * NR).clamp(NR, 16 * NR);
        let mut copy = A_COPY.take();
        copy.resize(copy.len().max(rows.min(m) * piece), 0.0);
        for inner in self.pieces() {
            for first in (0..m).step_by(rows) {
                let rows = first..m.min(first + rows);
                for (row, to) in rows.clone().zip(copy.chunks_exact_mut(inner.len())) {
                    to.copy_from_slice(&self.a.data[row * self.a.row_stride..][inner.clone()]);
                }
                for start in self.columns.clone().step_by(width) {
                    let columns = start..self.columns.end.min(start + width);
                    self.panel::<S, MR, NR>(simd, &copy, rows.clone(), columns, inner.clone());
                }
            }
        }
        A_COPY.set(copy);
    }

    /// Tiles of `MR` rows and `NR` columns, and smaller ones at the edges. Meanwhile the next panel is fetched.
    #[inline(always)]
    fn panel<S: Simd, const MR: usize, const NR: usize>(
        &self,
        simd: S,
        a: &[f32],
        rows: Range<usize>,
        columns: Range<usize>,
        inner: Range<usize>,
    ) {
        let (stride, parts) = (inner.len(), rows.len().div_ceil(MR));
        let (mut row, mut part) = (rows.start, 0);
        while row < rows.end {
            let (left, a) = (rows.end - row, &a[(row - rows.start) * stride..]);
            let (columns, inner) = (columns.clone(), inner.clone());
            let ahead = match columns.end == self.columns.end {
                true => Prefetch::NONE,
                false => Prefetch::new::<S>(columns.len() * self.b.column_stride, part, parts),
            };
            row += match left {
                _ if left >= MR => self.tiles::<S, MR, NR>(simd, a, row, columns, inner, ahead),
                2.. => self.tiles::<S, 2, NR>(simd, a, row, columns, inner, ahead),
                _ => self.tiles::<S, 1, NR>(simd, a, row, columns, inner, ahead),
            };
            part += 1;
        }
    }

    /// The tiles of `MR` rows in some columns; returns `MR`.
    #[inline(always)]
    fn tiles<S: Simd, const MR: usize, const NR: usize>(
        &self,
        simd: S,
        a: &[f32],
        row: usize,
        columns: Range<usize>,
        inner: Range<usize>,
        ahead: Prefetch,
    ) -> usize {
        let mut column = columns.start;
        while column + NR <= columns.end {
            self.tile::<S, MR, NR>(simd, (a, inner.len()), row, column, inner.clone(), ahead);
            column += NR;
        }
        while column < columns.end {
            self.tile::<S, MR, 1>(simd, (a, inner.len()), row, column, inner.clone(), ahead);
            column += 1;
        }
        MR
    }

    /// `MR` by `NR` elements of `C`, from the rows of `a`, so many elements apart.
    #[inline(always)]
    fn tile<S: Simd, const MR: usize, const NR: usize>(
        &self,
        simd: S,
        a: (&[f32], usize),
        row: usize,
        column: usize,
        inner: Range<usize>,
        ahead: Prefetch,
    ) {
        let b = &self.b.data[column * self.b.column_stride + inner.start..];
        let sums = dot_products::<S, MR, NR>(simd, a, (b, self.b.column_stride), inner.len(), ahead);
        for (i, sums) in sums.iter().enumerate() {
            // SAFETY: the tile lies within the rows of `a` and the columns of this thread.
            unsafe { self.c.put_all(row + i, column, inner.start > 0, sums) };
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
    ahead: Prefetch,
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
    let mut next = ahead.first;
    for p in 0..steps {
        if p == next {
            for row in b_rows {
                fetch(row.wrapping_add(p).cast::<f32>().wrapping_add(ahead.distance));
            }
            next += ahead.period;
        }
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
    // Opaque, or LLVM keeps them in memory in the loop, where what follows is too long to be unrolled.
    let mut sums = std::hint::black_box(sums);
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
    totals(simd, &sums)
}

/// The sums of the lanes of all registers of a tile.
#[inline(always)]
fn totals<S: Simd, const MR: usize, const NR: usize>(simd: S, sums: &[[S::f32s; NR]; MR]) -> [[f32; NR]; MR] {
    let (mut totals, all) = ([[0.0; NR]; MR], MR * NR);
    for i in 0..all / 16 {
        some_totals::<S, MR, NR, 16>(simd, sums, 16 * i, &mut totals);
    }
    for i in all / 16 * 4..all / 4 {
        some_totals::<S, MR, NR, 4>(simd, sums, 4 * i, &mut totals);
    }
    for i in all / 4 * 4..all {
        some_totals::<S, MR, NR, 1>(simd, sums, i, &mut totals);
    }
    totals
}

/// The same for `N` of them from number `first` on.
#[inline(always)]
fn some_totals<S: Simd, const MR: usize, const NR: usize, const N: usize>(
    simd: S,
    sums: &[[S::f32s; NR]; MR],
    first: usize,
    totals: &mut [[f32; NR]; MR],
) {
    let mut registers = [simd.splat_f32s(0.0); N];
    for i in 0..N {
        registers[i] = sums[(first + i) / NR][(first + i) % NR];
    }
    for (i, total) in lane_sums(simd, &registers).into_iter().enumerate() {
        totals[(first + i) / NR][(first + i) % NR] = total;
    }
}
