//! Tiles of a GEMM whose `B` is a weight in panels, of f32 or of bfloat16, which is widened in registers: an element of `A` is multiplied with the columns of a panel, which are the lanes of a
//! register. Each element of `C` is one chain of multiply-adds along the inner length: its bits depend neither on the tile nor on the
//! width of a register.

use crate::columns::Columns;
use crate::mat::Mat;
use crate::panel_weight::{PANEL, PanelWeight};
use crate::prefetch::{Prefetch, fetch};
use crate::strips::{K_BLOCK, ROW_BLOCK, Strips, strips};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Columns of a panel in one round of the loop: few instructions are left that do not multiply.
const UNROLLED: usize = 4;

/// All tiles of some panels, `C = β C + A Wᵀ`.
pub(crate) struct PanelTiles<'a, W> {
    pub(crate) a: Mat<'a, f32>,
    /// The same for tiles of several rows; nothing where [`is_few`] says so.
    pub(crate) strips: Strips<'a>,
    pub(crate) w: W,
    pub(crate) c: Columns<'a, f32>,
    pub(crate) panels: Range<usize>,
}

impl<W: PanelWeight> WithSimd for PanelTiles<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Registers of sums: enough to hide the latency of a multiply-add, and few enough that none is spilled.
        match (S::F32_LANES, self.a.rows) {
            (16, 1) => self.few_rows::<S, 1, 8>(simd),
            (16, 2) => self.few_rows::<S, 2, 8>(simd),
            (16, 3) => self.few_rows::<S, 3, 4>(simd),
            (16, _) => self.blocks::<S, 12, 2, true>(simd),
            (8, 1) => self.few_rows::<S, 1, 8>(simd),
            (8, 2) => self.few_rows::<S, 2, 6>(simd),
            (8, 3) => self.few_rows::<S, 3, 4>(simd),
            (8, _) => self.blocks::<S, 6, 2, false>(simd),
            (4, _) => self.blocks::<S, 3, 4, false>(simd),
            _ => self.scalar(),
        }
    }
}

impl<W: PanelWeight> PanelTiles<'_, W> {
    /// Few rows: the weight is read once, several panels at a time.
    #[inline(always)]
    fn few_rows<S: Simd, const MR: usize, const NR: usize>(&self, simd: S) {
        let width = NR * S::F32_LANES / PANEL;
        let mut panel = self.panels.start;
        while panel < self.panels.end {
            let is_whole = panel + width <= self.panels.end;
            for inner in self.k_blocks() {
                let a = (&self.a.data[inner.start..], self.a.row_stride);
                match is_whole {
                    true => self.tile::<S, MR, NR, false>(simd, a, 0, panel, inner, Prefetch::NONE),
                    false => self.panel::<S, MR>(simd, a, 0, panel, inner),
                }
            }
            panel += if is_whole { width } else { 1 };
        }
    }

    /// The blocks of the inner length; an empty sum has one too.
    #[inline(always)]
    fn k_blocks(&self) -> impl Iterator<Item = Range<usize>> + use<W> {
        let k = self.a.columns;
        (0..k.max(1)).step_by(K_BLOCK).map(move |start| start..k.min(start + K_BLOCK))
    }

    /// Many rows: all rows of a block of `A` for each `NR` registers of panels, while the next ones come from memory.
    #[inline(always)]
    fn blocks<S: Simd, const MR: usize, const NR: usize, const IS_PACKED: bool>(&self, simd: S) {
        let (m, width) = (self.a.rows, NR * S::F32_LANES / PANEL);
        for first in (0..m).step_by(ROW_BLOCK) {
            let rows = first..m.min(first + ROW_BLOCK);
            for inner in self.k_blocks() {
                for panel in self.panels.clone().step_by(width) {
                    self.strips::<S, MR, NR, IS_PACKED>(simd, rows.clone(), panel, inner.clone());
                }
            }
        }
    }

    /// All rows of a block.
    #[inline(always)]
    fn strips<S: Simd, const MR: usize, const NR: usize, const IS_PACKED: bool>(
        &self,
        simd: S,
        rows: Range<usize>,
        panel: usize,
        inner: Range<usize>,
    ) {
        let width = NR * S::F32_LANES / PANEL;
        if panel + width > self.panels.end {
            let stride = self.a.row_stride;
            for row in rows {
                let a = (&self.a.data[row * stride + inner.start..], stride);
                (panel..self.panels.end).for_each(|panel| self.panel::<S, 1>(simd, a, row, panel, inner.clone()));
            }
            return;
        }
        let period = rows.len().div_ceil(MR);
        for (strip, own) in strips(rows.clone(), MR).enumerate() {
            let (row, height) = (own.start, own.len());
            let a = self.strips.get(own, inner.start / K_BLOCK);
            let ahead = match panel + 2 * width <= self.panels.end {
                true => Prefetch { distance: width * self.w.lines(panel).len(), first: strip, period },
                false => Prefetch::NONE,
            };
            let inner = inner.clone();
            match height {
                1 => self.tile::<S, 1, NR, IS_PACKED>(simd, a, row, panel, inner, ahead),
                2 => self.tile::<S, 2, NR, IS_PACKED>(simd, a, row, panel, inner, ahead),
                3 => self.tile::<S, 3, NR, IS_PACKED>(simd, a, row, panel, inner, ahead),
                4 => self.tile::<S, 4, NR, IS_PACKED>(simd, a, row, panel, inner, ahead),
                5 => self.tile::<S, 5, NR, IS_PACKED>(simd, a, row, panel, inner, ahead),
                6 => self.tile::<S, 6, NR, IS_PACKED>(simd, a, row, panel, inner, ahead),
                7 if const { MR >= 7 } => self.tile::<S, 7, NR, IS_PACKED>(simd, a, row, panel, inner, ahead),
                8 if const { MR >= 8 } => self.tile::<S, 8, NR, IS_PACKED>(simd, a, row, panel, inner, ahead),
                9 if const { MR >= 9 } => self.tile::<S, 9, NR, IS_PACKED>(simd, a, row, panel, inner, ahead),
                10 if const { MR >= 10 } => self.tile::<S, 10, NR, IS_PACKED>(simd, a, row, panel, inner, ahead),
                11 if const { MR >= 11 } => self.tile::<S, 11, NR, IS_PACKED>(simd, a, row, panel, inner, ahead),
                12 if const { MR >= 12 } => self.tile::<S, 12, NR, IS_PACKED>(simd, a, row, panel, inner, ahead),
                _ => unreachable!("a strip of more rows than a tile"),
            }
        }
    }

    /// `MR` rows of one panel.
    #[inline(always)]
    fn panel<S: Simd, const MR: usize>(
        &self,
        simd: S,
        a: (&[f32], usize),
        row: usize,
        panel: usize,
        inner: Range<usize>,
    ) {
        match S::F32_LANES {
            16 => self.tile::<S, MR, 1, false>(simd, a, row, panel, inner, Prefetch::NONE),
            8 => self.tile::<S, MR, 2, false>(simd, a, row, panel, inner, Prefetch::NONE),
            _ => self.tile::<S, MR, 4, false>(simd, a, row, panel, inner, Prefetch::NONE),
        }
    }

    /// `MR` rows of `NR` registers of panels: whole ones. `a` has the rows from the first of `inner` on: so many elements apart, or packed.
    #[expect(clippy::needless_range_loop, reason = "the loops are unrolled, and what they index becomes registers")]
    #[inline(always)]
    fn tile<S: Simd, const MR: usize, const NR: usize, const IS_PACKED: bool>(
        &self,
        simd: S,
        (a, a_stride): (&[f32], usize),
        row: usize,
        panel: usize,
        inner: Range<usize>,
        ahead: Prefetch,
    ) {
        let (k, of_panel, rows) = (inner.len(), PANEL / S::F32_LANES, self.w.rows());
        let mut sums = [[simd.splat_f32s(0.0); NR]; MR];
        for i in 0..MR {
            for j in (0..NR).step_by(of_panel) {
                self.c.fetch(row + i, ((panel + j / of_panel) * PANEL).saturating_sub(rows.start));
            }
        }
        // Pointers, so that they stay in registers, opaque, or LLVM rematerialises them in the loop; and loops over arrays, as closures are not
        // inlined with the instructions of `S`.
        let (mut a_rows, mut b_lines) = ([std::ptr::null::<f32>(); MR], [std::ptr::null::<f32>(); NR]);
        let packed = std::hint::black_box(a[..if IS_PACKED { MR * k } else { 0 }].as_ptr());
        for i in 0..MR {
            a_rows[i] = match IS_PACKED {
                true => packed.wrapping_add(i),
                false => std::hint::black_box(a[i * a_stride..][..k].as_ptr()),
            };
        }
        for j in 0..NR {
            let lines = inner.start / W::OF_LINE * PANEL..inner.end.div_ceil(W::OF_LINE) * PANEL;
            let lines = &self.w.lines(panel + j / of_panel)[lines];
            b_lines[j] = lines.as_ptr().wrapping_add(j % of_panel * S::F32_LANES);
        }
        let b_lines = std::hint::black_box(b_lines);
        let mut next = ahead.first.saturating_mul(UNROLLED);
        let unrolled = k - k % UNROLLED;
        for p in (0..unrolled).step_by(UNROLLED) {
            if p == next {
                for j in (0..NR).step_by(of_panel) {
                    for line in p / W::OF_LINE..(p + UNROLLED) / W::OF_LINE {
                        fetch(b_lines[j].wrapping_add(line * PANEL + ahead.distance));
                    }
                }
                next += ahead.period * UNROLLED;
            }
            for p in p..p + UNROLLED {
                // SAFETY: `p` is below `k`.
                unsafe { multiply_add::<S, W, MR, NR, IS_PACKED>(simd, &a_rows, &b_lines, p, &mut sums) };
            }
        }
        for p in unrolled..k {
            // SAFETY: as above.
            unsafe { multiply_add::<S, W, MR, NR, IS_PACKED>(simd, &a_rows, &b_lines, p, &mut sums) };
        }
        // Opaque, or LLVM keeps them in memory in the loop, where what follows is too long to be unrolled.
        let sums = std::hint::black_box(sums);
        let beta = if inner.start > 0 { 1.0 } else { self.c.beta() };
        for i in 0..MR {
            for j in 0..NR {
                let column = panel * PANEL + j * S::F32_LANES;
                if rows.start <= column && column + S::F32_LANES <= rows.end {
                    let first = column - rows.start;
                    // SAFETY: the row is one of `A`, and the columns are of a panel of this thread.
                    let c = unsafe { self.c.row(row + i, first..first + S::F32_LANES) };
                    let (c, _) = S::as_mut_simd_f32s(c);
                    c[0] = match beta == 0.0 {
                        true => sums[i][j],
                        // Rounded twice, as at the edges.
                        false => simd.add_f32s(simd.mul_f32s(simd.splat_f32s(beta), c[0]), sums[i][j]),
                    };
                } else {
                    let mut lanes = [0.0; PANEL];
                    S::as_mut_simd_f32s(&mut lanes).0[0] = sums[i][j];
                    self.put_some(row + i, column, inner.start > 0, &lanes[..S::F32_LANES]);
                }
            }
        }
    }

    /// Lanes from a column on, of which some are none of these rows.
    #[cold]
    #[inline(never)]
    fn put_some(&self, row: usize, column: usize, goes_on: bool, lanes: &[f32]) {
        let rows = self.w.rows();
        for (column, &sum) in (column..).zip(lanes).filter(|(column, _)| rows.contains(column)) {
            // SAFETY: the row is one of `A`, and the column is of a panel of this thread.
            unsafe { self.c.put(row, column - rows.start, goes_on, sum) };
        }
    }

    /// A lane at a time, for a processor without vector registers.
    fn scalar(&self) {
        let (simd, rows) = (pulp::Scalar, self.w.rows());
        for panel in self.panels.clone() {
            let lines = self.w.lines(panel);
            for column in (panel * PANEL..(panel + 1) * PANEL).filter(|column| rows.contains(column)) {
                for i in 0..self.a.rows {
                    let a = &self.a.data[i * self.a.row_stride..][..self.a.columns];
                    for inner in self.k_blocks() {
                        let sum = inner.clone().fold(0.0, |sum, p| {
                            let w = W::column(simd, lines[p / W::OF_LINE * PANEL + column % PANEL], p);
                            a[p].mul_add(w, sum)
                        });
                        // SAFETY: as above.
                        unsafe { self.c.put(i, column - rows.start, inner.start > 0, sum) };
                    }
                }
            }
        }
    }
}

/// `sums += a b` for element `p` of each row of `A` and column `p` of the panels.
///
/// # Safety
/// The rows have more than `p` elements, and each register of `b` that many columns of a panel.
#[inline(always)]
unsafe fn multiply_add<S: Simd, W: PanelWeight, const MR: usize, const NR: usize, const IS_PACKED: bool>(
    simd: S,
    a: &[*const f32; MR],
    b: &[*const f32; NR],
    p: usize,
    sums: &mut [[S::f32s; NR]; MR],
) {
    let mut columns = [simd.splat_f32s(0.0); NR];
    for j in 0..NR {
        // SAFETY: the caller's; a register lies within a line.
        let line = unsafe { b[j].add(p / W::OF_LINE * PANEL).cast::<S::f32s>().read_unaligned() };
        columns[j] = W::column(simd, line, p);
    }
    for i in 0..MR {
        // SAFETY: the caller's.
        let a = simd.splat_f32s(unsafe { *a[i].add(if IS_PACKED { p * MR } else { p }) });
        for j in 0..NR {
            sums[i][j] = simd.mul_add_f32s(a, columns[j], sums[i][j]);
        }
    }
}
