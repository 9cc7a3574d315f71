//! A copy of `A` for the tiles of a GEMM with a weight in panels, in strips of as many rows as a tile has at most. It is made once, by all
//! threads together.

use crate::gemm_config::MIN_ELEMENTS;
use crate::mat::Mat;
use crate::threads::run_on_threads;
use pulp::{Arch, Simd, WithSimd};
use std::mem::take;
use std::ops::Range;

/// The inner length at once: that much of a panel stays in the first cache while all rows of `A` pass.
pub(crate) const K_BLOCK: usize = 512;

/// Rows of `A` at once: of a block of the inner length, they stay in the second cache.
pub(crate) const ROW_BLOCK: usize = 168;

/// From one row of a strip that is not packed to the next: rows that are powers of two apart would share places in the first cache.
const STRIDE: usize = K_BLOCK + 16;

/// The strips of a matrix, one after the other, each with its blocks of the inner length one after the other.
///
/// A packed strip has the elements of a column one after the other, so that one pointer is enough for all its rows. Registers transpose with
/// AVX-512 alone; with fewer rows in a tile, each has a pointer of its own.
#[derive(Clone, Copy)]
pub(crate) struct Strips<'a> {
    elements: &'a [f32],
    blocks: usize,
}

/// Rows of a tile, and whether its strip is packed.
#[derive(Clone, Copy)]
struct Tiling {
    rows: usize,
    is_packed: bool,
}

impl<'a> Strips<'a> {
    /// Of the rows that tiles of several rows read; few rows are read where they lie.
    pub(crate) fn new(a: Mat<'_, f32>, memory: &'a mut Vec<f32>, threads: usize) -> Self {
        let blocks = a.columns.div_ceil(K_BLOCK).max(1);
        let Some(tiling) = Arch::new().dispatch(TilingOf(a.rows)) else { return Self { elements: &[], blocks } };
        let of_row = blocks * STRIDE;
        memory.resize(memory.len().max(a.rows * of_row), 0.0);
        let mut rest = &mut memory[..a.rows * of_row];
        let threads = if a.rows * a.columns < MIN_ELEMENTS { 1 } else { threads };
        let share = a.rows.div_ceil(threads);
        let tasks = (0..a.rows).step_by(share).map(|start| {
            let own =
                all_strips(a.rows, tiling.rows).filter(move |strip| (start..start + share).contains(&strip.start));
            let (to, after) =
                take(&mut rest).split_at_mut(own.clone().map(|strip| strip.len()).sum::<usize>() * of_row);
            rest = after;
            move || copy(a, own, tiling.is_packed, to)
        });
        match threads {
            1 => tasks.for_each(|task| task()),
            _ => run_on_threads(tasks),
        }
        Self { elements: memory, blocks }
    }

    /// These rows in a block of the inner length, and from one to the next where they are not packed.
    #[inline(always)]
    pub(crate) fn get(self, strip: Range<usize>, block: usize) -> (&'a [f32], usize) {
        (&self.elements[(strip.start * self.blocks + strip.len() * block) * STRIDE..], STRIDE)
    }
}

fn copy(a: Mat<'_, f32>, strips: impl Iterator<Item = Range<usize>>, is_packed: bool, mut to: &mut [f32]) {
    for strip in strips {
        for start in (0..a.columns).step_by(K_BLOCK) {
            let width = K_BLOCK.min(a.columns - start);
            let (block, after) = take(&mut to).split_at_mut(strip.len() * STRIDE);
            to = after;
            if is_packed {
                let data = &a.data[strip.start * a.row_stride + start..];
                Mat::strided(data, strip.len(), width, a.row_stride).transposed(block);
                continue;
            }
            for (row, to) in strip.clone().zip(block.chunks_exact_mut(STRIDE)) {
                to[..width].copy_from_slice(&a.data[row * a.row_stride + start..][..width]);
            }
        }
    }
}

/// The strips of all rows, block by block.
fn all_strips(rows: usize, height: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    (0..rows).step_by(ROW_BLOCK).flat_map(move |first| strips(first..rows.min(first + ROW_BLOCK), height))
}

/// Strips of at most `height` rows, as equal as can be: one of few rows would wait for its sums.
#[inline(always)]
pub(crate) fn strips(rows: Range<usize>, height: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let strips = rows.len().div_ceil(height);
    let mut start = rows.start;
    (0..strips).map(move |strip| {
        let height = (rows.end - start).div_ceil(strips - strip);
        start += height;
        start - height..start
    })
}

/// The tiling of so many rows by the widest instructions; none where they are few, or instructions scalar.
struct TilingOf(usize);

impl WithSimd for TilingOf {
    type Output = Option<Tiling>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Option<Tiling> {
        match (S::F32_LANES, self.0) {
            (16 | 8, ..4) => None,
            (16, _) => Some(Tiling { rows: 12, is_packed: true }),
            (8, _) => Some(Tiling { rows: 6, is_packed: false }),
            (4, _) => Some(Tiling { rows: 3, is_packed: false }),
            _ => None,
        }
    }
}
