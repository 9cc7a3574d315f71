//! A weight packed once for the GEMMs of inference: panels of 16 rows, which lie interleaved, so that a cache line has one column of a
//! panel. A weight in the layout of its file needs a sum over the lanes of a register for each element of the result; panels need none.

use crate::panel_weight::{PANEL, PanelWeight};
use crate::transpose::transpose;
use pulp::Simd;
use std::convert::Infallible;
use std::ops::Range;

/// A weight `W[O, I]` that is being packed in place.
#[derive(Debug)]
pub struct PackedMut<'a> {
    panels: &'a mut [f32],
    rows: usize,
    columns: usize,
}

impl<'a> PackedMut<'a> {
    /// Elements of a packed weight: its last panel is filled up with zeros.
    pub fn len_of(rows: usize, columns: usize) -> usize {
        rows.next_multiple_of(PANEL) * columns
    }

    /// In the memory of [`len_of`](Self::len_of) these rows and columns.
    ///
    /// # Panics
    /// If the memory is of another length: an error in the caller.
    pub fn new(panels: &'a mut [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(panels.len(), Self::len_of(rows, columns), "the memory of a packed weight");
        Self { panels, rows, columns }
    }

    /// Elements of its rows.
    pub fn len(&self) -> usize {
        self.rows * self.columns
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Packs these elements, row-major.
    ///
    /// # Panics
    /// If there are others than its rows have: an error in the caller.
    pub fn copy_from(self, values: &[f32]) {
        assert_eq!(values.len(), self.len(), "the elements of a packed weight");
        let mut rest = values;
        let filled = self.fill(values.len(), |part| {
            let next;
            (next, rest) = rest.split_at(part.len());
            part.copy_from_slice(next);
            Ok::<(), Infallible>(())
        });
        filled.unwrap_or_else(|never| match never {});
    }

    /// Fills it, row-major, by parts of whole panels and about so many elements: each is packed once `fill` has written it.
    ///
    /// # Errors
    /// What `fill` fails with.
    pub fn fill<E>(self, at_once: usize, mut fill: impl FnMut(&mut [f32]) -> Result<(), E>) -> Result<(), E> {
        let panel = PANEL * self.columns;
        if panel == 0 {
            return Ok(());
        }
        let (mut left, mut rows) = (self.rows * self.columns, vec![0.0; panel]);
        for part in self.panels.chunks_mut((at_once / panel).max(1) * panel) {
            let filled = left.min(part.len());
            part[filled..].fill(0.0);
            fill(&mut part[..filled])?;
            for panel in part.chunks_exact_mut(panel) {
                rows.copy_from_slice(panel);
                transpose(&rows, PANEL, self.columns, panel);
            }
            left -= filled;
        }
        Ok(())
    }
}

/// Some rows of a packed weight `W[O, I]`.
#[derive(Clone, Copy, Debug)]
pub struct PackedRows<'a> {
    panels: &'a [f32],
    /// The first one, of the panels' rows.
    pub(crate) first: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl<'a> PackedRows<'a> {
    /// Of what [`PackedMut`] packed.
    ///
    /// # Panics
    /// If it has not that many rows.
    pub fn new(panels: &'a [f32], rows: Range<usize>, columns: usize) -> Self {
        assert!(rows.end <= panels.len() / columns.max(1) || columns == 0, "rows of another weight");
        Self { panels, first: rows.start, rows: rows.len(), columns }
    }

    /// Some of these rows.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn rows(&self, rows: Range<usize>) -> Self {
        assert!(rows.end <= self.rows, "rows of another weight");
        Self { first: self.first + rows.start, rows: rows.len(), ..*self }
    }

    /// The elements of a row.
    pub fn row(&self, row: usize) -> impl ExactSizeIterator<Item = f32> + use<'a> {
        let row = self.first + row;
        self.lines(row / PANEL)[row % PANEL..].iter().step_by(PANEL).copied()
    }

    /// The panels that have these rows.
    pub(crate) fn panels(&self) -> Range<usize> {
        self.first / PANEL..(self.first + self.rows).div_ceil(PANEL)
    }
}

impl PanelWeight for PackedRows<'_> {
    const OF_LINE: usize = 1;

    #[inline(always)]
    fn rows(self) -> Range<usize> {
        self.first..self.first + self.rows
    }

    #[inline(always)]
    fn lines<'b>(self, panel: usize) -> &'b [f32]
    where
        Self: 'b,
    {
        &self.panels[panel * PANEL * self.columns..][..PANEL * self.columns]
    }

    #[inline(always)]
    fn column<S: Simd>(_: S, line: S::f32s, _: usize) -> S::f32s {
        line
    }
}
