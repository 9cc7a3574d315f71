//! `y[i] = W[ids[i]]`: rows gathered in forward, gradients scattered back by addition.

use crate::weight::Weight;
use crate::{Backward, Case, Forward, GradCheck, Graph, Op, Var};
use descant_kernels::{Real, axpy, run_on_rows};
use descant_tensor::Shape;
use std::sync::Arc;

/// Rows `ids` of `W[V, D]`, as `[N, D]`. Gathering rows of any matrix, and thereby reordering them, is the same thing.
#[derive(Debug)]
pub struct Embedding {
    ids: Arc<[u32]>,
}

impl Embedding {
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }
}

impl Op for Embedding {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let rows = inputs[0].dims().first().copied().unwrap_or(0);
        match self.ids.iter().find(|&&id| id as usize >= rows) {
            Some(id) => Err(format!("id {id} is outside a table of {rows} rows")),
            None => Ok(inputs[0].with_first(self.ids.len())),
        }
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let width = row_length(ctx.shape(0));
        let threads = ctx.gemm_config().pass_threads(ctx.output().len());
        match ctx.weight(0) {
            Weight::RowMajor(w) => run_on_rows(ctx.output(), width, threads, |first, rows| {
                gather_rows(w, width, &self.ids[first..], rows);
            }),
            Weight::Stored(w) => {
                let rows = ctx.output().chunks_exact_mut(width.max(1)).zip(&*self.ids);
                rows.for_each(|(y, &id)| w.read_row(id as usize, y));
            }
        }
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (dy, width) = (ctx.dy(), row_length(ctx.shape(0)));
        if let Some(dw) = ctx.dx(0) {
            add_rows(dy, width, &self.ids, dw);
        }
    }
}

impl GradCheck for Embedding {
    fn cases() -> Vec<Case> {
        vec![Case::new("a row twice", &[&[4, 3]], |_, x| x[0].gather(&Arc::from([2, 0, 2])))]
    }
}

/// `y[n] = w[ids[n]]`, rows of `width` elements.
pub(crate) fn gather_rows<E: Real>(w: &[E], width: usize, ids: &[u32], y: &mut [E]) {
    for (y, &id) in y.chunks_exact_mut(width.max(1)).zip(ids) {
        y.copy_from_slice(&w[id as usize * width..][..width]);
    }
}

/// `dw[ids[n]] += dy[n]`.
pub(crate) fn add_rows<E: Real>(dy: &[E], width: usize, ids: &[u32], dw: &mut [E]) {
    for (dy, &id) in dy.chunks_exact(width.max(1)).zip(ids) {
        axpy(E::one(), dy, &mut dw[id as usize * width..][..width]);
    }
}

fn row_length(shape: Shape) -> usize {
    shape.dims().iter().skip(1).product()
}

impl<'t> Var<'t> {
    /// Rows `ids` of the first axis: `[V, ..]` to `[N, ..]`.
    #[track_caller]
    pub fn gather(self, ids: &Arc<[u32]>) -> Self {
        let graph: Graph<'t> = self.graph();
        graph.apply(Embedding { ids: ids.clone() }, &[self])
    }
}
