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
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A piece is what is left, divided by so many times the threads.
const PARTS: usize = 2;

/// Panels of a piece at least: less would be taken up by the edges.
const MIN_PIECE: usize = 8;

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

/// Shares panels out to threads, which take pieces of a multiple of so many panels as they become free: each piece a part of what is left,
/// so that the last ones are small (Polychronopoulos & Kuck 1987). A thread whose core is wanted elsewhere then keeps none waiting.
pub(crate) fn in_panels(panels: Range<usize>, threads: usize, multiple: usize, run: impl Fn(Range<usize>) + Sync) {
    if threads == 1 {
        return run(panels);
    }
    let of = |start: usize| {
        let left = panels.end - start;
        let least = MIN_PIECE.min(panels.len().div_ceil(threads));
        start..panels.end.min(start + left.div_ceil(PARTS * threads).max(least).next_multiple_of(multiple))
    };
    let next = AtomicUsize::new(panels.start);
    let take = || {
        let taken = next.fetch_update(Relaxed, Relaxed, |start| (start < panels.end).then(|| of(start).end));
        taken.ok().map(of)
    };
    run_on_threads((0..threads).map(|_| || std::iter::from_fn(take).for_each(&run)));
}
