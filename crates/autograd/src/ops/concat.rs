//! `y` = the inputs one after the other along the first or the last axis.

use crate::{Backward, Case, Forward, GradCheck, Graph, Op, Var};
use descant_kernels::{Real, axpy};
use descant_tensor::Shape;

/// The inputs joined along the first or the last axis.
#[derive(Debug)]
pub struct Concat {
    last: bool,
}

impl Op for Concat {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let Some(first) = inputs.first().filter(|shape| shape.rank() > 0) else {
            return Err("expected at least one input with an axis".to_owned());
        };
        let (sum, same): (usize, _) = if self.last {
            (inputs.iter().map(Shape::last).sum(), inputs.iter().all(|x| x.with_last(0) == first.with_last(0)))
        } else {
            (inputs.iter().map(|x| x.dims()[0]).sum(), inputs.iter().all(|x| x.with_first(0) == first.with_first(0)))
        };
        match (same, self.last) {
            (false, _) => Err("the other axes differ".to_owned()),
            (true, true) => Ok(first.with_last(sum)),
            (true, false) => Ok(first.with_first(sum)),
        }
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let rows = if self.last { ctx.shape(0).rows() } else { 1 };
        let mut start = 0;
        let total = ctx.output().len().checked_div(rows).unwrap_or(0);
        for i in 0..ctx.inputs() {
            let x = ctx.input(i);
            let width = x.len().checked_div(rows).unwrap_or(0);
            for (y, x) in ctx.output().chunks_exact_mut(total.max(1)).zip(x.chunks_exact(width.max(1))) {
                y[start..start + width].copy_from_slice(x);
            }
            start += width;
        }
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let rows = if self.last { ctx.shape(0).rows() } else { 1 };
        let dy = ctx.dy();
        let total = dy.len().checked_div(rows).unwrap_or(0);
        let mut start = 0;
        for i in 0..ctx.inputs() {
            let width = ctx.shape(i).len().checked_div(rows).unwrap_or(0);
            if let Some(dx) = ctx.dx(i) {
                for (dx, dy) in dx.chunks_exact_mut(width.max(1)).zip(dy.chunks_exact(total.max(1))) {
                    axpy(E::one(), &dy[start..start + width], dx);
                }
            }
            start += width;
        }
    }
}

impl GradCheck for Concat {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("first axis", &[&[2, 3], &[1, 3]], |graph, x| graph.concat(&[x[0], x[1], x[0]])),
            Case::new("last axis", &[&[2, 2, 3], &[2, 2, 1]], |graph, x| graph.concat_last(&[x[0], x[1]])),
        ]
    }
}

impl<'t> Graph<'t> {
    /// Joins along the first axis.
    #[track_caller]
    pub fn concat(self, parts: &[Var<'t>]) -> Var<'t> {
        self.apply(Concat { last: false }, parts)
    }

    /// Joins along the last axis.
    #[track_caller]
    pub fn concat_last(self, parts: &[Var<'t>]) -> Var<'t> {
        self.apply(Concat { last: true }, parts)
    }
}
