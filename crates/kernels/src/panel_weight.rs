//! Weights in panels of rows, as the GEMMs of inference read them.

use pulp::Simd;
use std::ops::Range;

/// Rows of a panel: the elements of a cache line.
pub(crate) const PANEL: usize = 16;

/// Some rows of a weight `W[O, I]` in panels of 16 rows, whose columns are lines of 16 lanes.
pub(crate) trait PanelWeight: Copy {
    /// Columns that a line has, its lanes shared: of those of a block of the inner length, all or none are one line.
    const OF_LINE: usize;

    /// The first one of these rows, of the panels' rows, and how many there are.
    fn rows(self) -> Range<usize>;

    /// The lines of the panel of this number, of all of the weight.
    fn lines<'b>(self, panel: usize) -> &'b [f32]
    where
        Self: 'b;

    /// Column `p` of its line.
    fn column<S: Simd>(simd: S, line: S::f32s, p: usize) -> S::f32s;
}
