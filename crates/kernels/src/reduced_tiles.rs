//! The loops over tiles of a GEMM of int8 activations with panels of a weight in reduced precision.

use crate::columns::Columns;
use crate::panel_weight::PANEL;
use crate::reduced_weight::ReducedRows;
use std::ops::Range;

/// Bytes of activations that stay in the second cache while all panels pass.
const A_BLOCK: usize = 256 << 10;

/// The most rows of a tile.
const MR: usize = 6;

/// Where a tile lies: its first row and panel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) row: usize,
    pub(crate) panel: usize,
}

/// Computes elements of `C`. However they are grouped into tiles, they have the same bits.
pub(crate) trait TileKernel {
    /// `MR` rows and `NR` panels.
    fn tile<const MR: usize, const NR: usize>(&self, place: Place) -> [[[f32; PANEL]; NR]; MR];
}

/// A product `C = β C + A Wᵀ`.
pub(crate) struct Tiles<'a, K> {
    pub(crate) kernel: K,
    /// Rows of `A`, and bytes of each.
    pub(crate) rows: usize,
    pub(crate) row_bytes: usize,
    pub(crate) w: ReducedRows<'a>,
    pub(crate) c: Columns<'a, f32>,
}

impl<K: TileKernel> Tiles<'_, K> {
    /// All tiles of some panels: of `NR` panels where there are many rows, else of 4, so that more of the weight is on its way from memory.
    pub(crate) fn run<const NR: usize>(&self, panels: Range<usize>) {
        match self.rows {
            ..=2 => self.row_block::<4>(0..self.rows, panels),
            _ => {
                let most = (A_BLOCK / self.row_bytes.max(1)).max(MR);
                for row in (0..self.rows).step_by(most) {
                    self.row_block::<NR>(row..self.rows.min(row + most), panels.clone());
                }
            }
        }
    }

    fn row_block<const NR: usize>(&self, rows: Range<usize>, panels: Range<usize>) {
        let mut panel = panels.start;
        while panel < panels.end {
            let is_whole = panel + NR <= panels.end;
            // Strips as equal as can be: one of few rows would wait for its sums.
            let (strips, mut row) = (rows.len().div_ceil(MR), rows.start);
            for strip in 0..strips {
                let (height, place) = ((rows.end - row).div_ceil(strips - strip), Place { row, panel });
                match is_whole {
                    true => self.strip::<NR>(height, place),
                    false => self.strip::<1>(height, place),
                }
                row += height;
            }
            panel += if is_whole { NR } else { 1 };
        }
    }

    fn strip<const NR: usize>(&self, height: usize, place: Place) {
        match height {
            1 => self.tile::<1, NR>(place),
            2 => self.tile::<2, NR>(place),
            3 => self.tile::<3, NR>(place),
            4 => self.tile::<4, NR>(place),
            5 => self.tile::<5, NR>(place),
            _ => self.tile::<MR, NR>(place),
        }
    }

    fn tile<const MR: usize, const NR: usize>(&self, place: Place) {
        for (row, panel) in (0..MR).flat_map(|i| (0..NR).map(move |j| (place.row + i, place.panel + j))) {
            self.c.fetch(row, (panel * PANEL).saturating_sub(self.w.first));
        }
        let results = self.kernel.tile::<MR, NR>(place);
        for (row, results) in (place.row..).zip(&results) {
            for (panel, results) in (place.panel..).zip(results) {
                let (columns, first) = (panel * PANEL..(panel + 1) * PANEL, self.w.first);
                if self.c.beta() == 0.0 && first <= columns.start && columns.end <= first + self.w.rows {
                    // SAFETY: the row is one of `A`, and the columns are of a panel of this thread.
                    let c = unsafe { self.c.row(row, columns.start - first..columns.end - first) };
                    // As an array: a slice would be copied by a call.
                    let (c, _) = c.as_chunks_mut();
                    c[0] = *results;
                    continue;
                }
                for (column, &result) in columns.zip(results) {
                    if (first..first + self.w.rows).contains(&column) {
                        // SAFETY: as above.
                        unsafe { self.c.put(row, column - first, false, result) };
                    }
                }
            }
        }
    }
}
