//! `y = x σ(x)`, also called Swish (Elfwing et al. 2017, arXiv 1702.03118).

use crate::{Backward, Case, Forward, Op, Var};
use descant_kernels::{Real, zip_into};
use descant_tensor::Shape;

/// `y = x σ(x)`.
#[derive(Debug)]
pub struct Silu;

impl Op for Silu {
    const NAME: &'static str = "silu";

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let x = ctx.input(0);
        let y = ctx.output();
        y.copy_from_slice(x);
        E::sigmoid_all(y);
        zip_into(y, x, x, |s, x, _| s * x);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, dy) = (ctx.input(0), ctx.dy());
        let mut slope = ctx.scratch(x.len());
        slope.copy_from_slice(x);
        E::sigmoid_all(&mut slope);
        zip_into(&mut slope, x, x, |s, x, _| s * (E::one() + x * (E::one() - s)));
        if let Some(dx) = ctx.dx(0) {
            zip_into(dx, dy, &slope, |dx, dy, slope| dx + dy * slope);
        }
        ctx.recycle(slope);
    }

    fn cases() -> Vec<Case> {
        let case = Case::new("silu", &[&[3, 5]], |_, x| x[0].silu()).within(-4.0, 4.0);
        vec![case.reference(|_, x| x[0] * x[0].sigmoid())]
    }
}

impl Var<'_> {
    /// `x σ(x)` of every element: any shape to the same.
    #[track_caller]
    pub fn silu(self) -> Self {
        self.graph().apply(Silu, &[self])
    }
}
