//! `yᵢ = x[i, ids[i]]`: of every row one element, as losses take the right one's logarithm.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::Real;
use descant_tensor::Shape;
use std::sync::Arc;

/// Of every row, the element at the row's id; the axis disappears.
#[derive(Debug)]
pub struct GatherLast {
    ids: Arc<[u32]>,
}

impl Op for GatherLast {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let Some((&width, outer)) = inputs[0].dims().split_last() else {
            return Err("expected x[.., D]".to_owned());
        };
        if self.ids.len() != inputs[0].rows() {
            return Err(format!("{} ids for {} rows", self.ids.len(), inputs[0].rows()));
        }
        match self.ids.iter().find(|&&id| id as usize >= width) {
            Some(id) => Err(format!("id {id} is outside rows of {width}")),
            None => Ok(Shape::new(outer)),
        }
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, width) = (ctx.input(0), ctx.shape(0).last().max(1));
        for ((y, x), &id) in ctx.output().iter_mut().zip(x.chunks_exact(width)).zip(&*self.ids) {
            *y = x[id as usize];
        }
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (dy, width) = (ctx.dy(), ctx.shape(0).last().max(1));
        let Some(dx) = ctx.dx(0) else { return };
        for ((dx, &dy), &id) in dx.chunks_exact_mut(width).zip(dy).zip(&*self.ids) {
            dx[id as usize] += dy;
        }
    }
}

impl GradCheck for GatherLast {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("of a matrix", &[&[3, 4]], |_, x| x[0].gather_last(&Arc::from([2, 0, 2]))).reference(
                |graph, x| {
                    let row = |i, column| x[0].slice(i, i + 1).slice_last(column, column + 1).reshape([1]);
                    graph.concat(&[row(0, 2), row(1, 0), row(2, 2)])
                },
            ),
            Case::new("more axes", &[&[2, 2, 3]], |_, x| x[0].gather_last(&Arc::from([2, 0, 1, 1]))),
        ]
    }
}

impl Var<'_> {
    /// Element `ids[i]` of row `i`: `[.., D]` to `[..]`, with one id for each row.
    #[track_caller]
    pub fn gather_last(self, ids: &Arc<[u32]>) -> Self {
        self.graph().apply(GatherLast { ids: ids.clone() }, &[self])
    }
}
