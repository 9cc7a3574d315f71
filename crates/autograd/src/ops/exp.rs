//! `y = e^x`.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, zip_into};
use descant_tensor::Shape;

/// `y = e^x`.
#[derive(Debug)]
pub struct Exp;

impl Op for Exp {
    fn name(&self) -> &'static str {
        "exp"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let x = ctx.input(0);
        let y = ctx.output();
        y.copy_from_slice(x);
        E::exp_all(y);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (y, dy) = (ctx.output(), ctx.dy());
        if let Some(dx) = ctx.dx(0) {
            zip_into(dx, dy, y, |dx, dy, y| dx + dy * y);
        }
    }
}

impl GradCheck for Exp {
    fn cases() -> Vec<Case> {
        vec![Case::new("exp", &[&[3, 5]], |_, x| x[0].exp()).within(-2.0, 2.0)]
    }
}

impl Var<'_> {
    /// `e^x` of every element: any shape to the same.
    #[track_caller]
    pub fn exp(self) -> Self {
        self.graph().apply(Exp, &[self])
    }
}
