//! `yⱼ = e^xⱼ / Σₖ e^xₖ` over the last axis.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, softmax_rows, zip_into, zip_sum};

/// The softmax of every row.
#[derive(Debug)]
pub struct Softmax;

impl Op for Softmax {
    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, width) = (ctx.input(0), ctx.shape(0).last());
        let y = ctx.output();
        y.copy_from_slice(x);
        softmax_rows(y, width);
    }

    /// `dxⱼ = yⱼ (dyⱼ - Σₖ yₖ dyₖ)`.
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (y, dy, width) = (ctx.output(), ctx.dy(), ctx.shape(0).last().max(1));
        let Some(dx) = ctx.dx(0) else { return };
        for ((dx, dy), y) in dx.chunks_exact_mut(width).zip(dy.chunks_exact(width)).zip(y.chunks_exact(width)) {
            let mean = zip_sum(y, dy, |y, dy| y * dy);
            zip_into(dx, dy, y, |dx, dy, y| dx + y * (dy - mean));
        }
    }
}

impl GradCheck for Softmax {
    fn cases() -> Vec<Case> {
        let case = Case::new("rows", &[&[2, 3, 4]], |_, x| x[0].softmax()).within(-2.0, 2.0);
        vec![case.reference(|_, x| x[0].exp() / x[0].exp().sum_axis(2).reshape([2, 3, 1]))]
    }
}

impl Var<'_> {
    /// The softmax along the last axis: `[.., D]` to the same.
    #[track_caller]
    pub fn softmax(self) -> Self {
        self.graph().apply(Softmax, &[self])
    }
}
