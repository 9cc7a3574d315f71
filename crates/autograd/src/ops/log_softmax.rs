//! `yⱼ = xⱼ - log Σₖ e^xₖ` over the last axis.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, log_softmax_rows, zip_into, zip_sum};

/// The logarithm of the softmax of every row.
#[derive(Debug)]
pub struct LogSoftmax;

impl Op for LogSoftmax {
    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, width) = (ctx.input(0), ctx.shape(0).last());
        let y = ctx.output();
        y.copy_from_slice(x);
        log_softmax_rows(y, width);
    }

    /// `dxⱼ = dyⱼ - e^yⱼ Σₖ dyₖ`.
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (y, dy, width) = (ctx.output(), ctx.dy(), ctx.shape(0).last().max(1));
        let mut p = ctx.scratch(y.len());
        p.copy_from_slice(y);
        E::exp_all(&mut p);
        if let Some(dx) = ctx.dx(0) {
            for ((dx, dy), p) in dx.chunks_exact_mut(width).zip(dy.chunks_exact(width)).zip(p.chunks_exact(width)) {
                let total = zip_sum(dy, dy, |dy, _| dy);
                zip_into(dx, dy, p, |dx, dy, p| dx + dy - p * total);
            }
        }
        ctx.recycle(p);
    }
}

impl GradCheck for LogSoftmax {
    fn cases() -> Vec<Case> {
        let case = Case::new("rows", &[&[2, 3, 4]], |_, x| x[0].log_softmax()).within(-2.0, 2.0);
        vec![case.reference(|_, x| x[0].softmax().log())]
    }
}

impl Var<'_> {
    /// The logarithm of the softmax along the last axis: `[.., D]` to the same.
    #[track_caller]
    pub fn log_softmax(self) -> Self {
        self.graph().apply(LogSoftmax, &[self])
    }
}
