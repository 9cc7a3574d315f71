//! A GEMM with a weight in panels, on several threads.

use crate::columns::Columns;
use crate::mat::Mat;
use crate::panel_tiles::PanelTiles;
use crate::panel_weight::PanelWeight;
use crate::strips::Strips;
use crate::threads::run_on_threads;
use pulp::Arch;
use std::cell::RefCell;
use std::ops::Range;

thread_local! {
    static STRIPS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// `C = β C + A Wᵀ`, of which `panels` have the rows of `w`.
pub(crate) fn gemm_panels<W: PanelWeight + Sync>(
    a: Mat<'_, f32>,
    w: W,
    c: Columns<'_, f32>,
    panels: Range<usize>,
    threads: usize,
) {
    let mut memory = STRIPS.take();
    let strips = Strips::new(a, &mut memory, threads);
    // Some registers hold two panels.
    in_panels(panels, threads, 2, |panels| Arch::new().dispatch(PanelTiles { a, strips, w, c, panels }));
    STRIPS.set(memory);
}

/// Shares panels out to threads, to each a multiple of so many.
pub(crate) fn in_panels(panels: Range<usize>, threads: usize, multiple: usize, run: impl Fn(Range<usize>) + Sync) {
    if threads == 1 {
        return run(panels);
    }
    let (width, run) = (panels.len().div_ceil(threads).next_multiple_of(multiple), &run);
    run_on_threads(panels.clone().step_by(width).map(|start| move || run(start..panels.end.min(start + width))));
}
