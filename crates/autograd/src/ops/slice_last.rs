//! `y = x[.., start..end]`: some columns of the last axis.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, axpy};
use descant_tensor::Shape;

/// Columns `start..end` of the last axis.
#[derive(Debug)]
pub struct SliceLast {
    start: usize,
    end: usize,
}

impl Op for SliceLast {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if inputs[0].rank() == 0 || self.start > self.end || self.end > inputs[0].last() {
            return Err(format!("columns {}..{} are outside {}", self.start, self.end, inputs[0]));
        }
        Ok(inputs[0].with_last(self.end - self.start))
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, width) = (ctx.input(0), ctx.shape(0).last());
        let taken = self.end - self.start;
        for (y, x) in ctx.output().chunks_exact_mut(taken.max(1)).zip(x.chunks_exact(width.max(1))) {
            y.copy_from_slice(&x[self.start..self.end]);
        }
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (dy, width) = (ctx.dy(), ctx.shape(0).last());
        let taken = self.end - self.start;
        let Some(dx) = ctx.dx(0) else { return };
        for (dx, dy) in dx.chunks_exact_mut(width.max(1)).zip(dy.chunks_exact(taken.max(1))) {
            axpy(E::one(), dy, &mut dx[self.start..self.end]);
        }
    }
}

impl GradCheck for SliceLast {
    fn cases() -> Vec<Case> {
        vec![Case::new("middle columns", &[&[2, 3, 5]], |_, x| x[0].slice_last(1, 4))]
    }
}

impl<'t> Var<'t> {
    /// Columns `start..end` of the last axis, copied.
    #[track_caller]
    pub fn slice_last(self, start: usize, end: usize) -> Self {
        self.graph().apply(SliceLast { start, end }, &[self])
    }
}
