//! `y = log(1 + e^x)`.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, map_into, zip_into};
use descant_tensor::Shape;

/// `y = log(1 + e^x)`.
#[derive(Debug)]
pub struct Softplus;

impl Op for Softplus {
    fn name(&self) -> &'static str {
        "softplus"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let x = ctx.input(0);
        let y = ctx.output();
        // Of the positive half max(x, 0) is taken out, so that the exponential cannot overflow.
        map_into(x, y, |x| -x.abs());
        E::exp_all(y);
        zip_into(y, x, x, |e, x, _| x.max(E::zero()) + e.ln_1p());
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, dy) = (ctx.input(0), ctx.dy());
        let mut slope = ctx.scratch(x.len());
        slope.copy_from_slice(x);
        E::sigmoid_all(&mut slope);
        if let Some(dx) = ctx.dx(0) {
            zip_into(dx, dy, &slope, |dx, dy, slope| dx + dy * slope);
        }
        ctx.recycle(slope);
    }
}

impl GradCheck for Softplus {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("softplus", &[&[3, 5]], |_, x| x[0].softplus())
                .within(-3.0, 3.0)
                .reference(|_, x| (x[0].exp() + 1.0).log()),
            Case::new("of large numbers", &[&[4]], |_, x| x[0].softplus()).within(800.0, 900.0).reference(|_, x| x[0]),
        ]
    }
}

impl Var<'_> {
    /// `log(1 + e^x)` of every element: any shape to the same.
    #[track_caller]
    pub fn softplus(self) -> Self {
        self.graph().apply(Softplus, &[self])
    }
}
