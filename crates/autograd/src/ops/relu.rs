//! `y = max(x, 0)`.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, map_into, zip_into};
use descant_tensor::Shape;

/// `y = max(x, 0)`.
#[derive(Debug)]
pub struct Relu;

impl Op for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        map_into(ctx.input(0), ctx.output(), |x| x.max(E::zero()));
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, dy) = (ctx.input(0), ctx.dy());
        if let Some(dx) = ctx.dx(0) {
            zip_into(dx, dy, x, |dx, dy, x| if x > E::zero() { dx + dy } else { dx });
        }
    }
}

impl GradCheck for Relu {
    fn cases() -> Vec<Case> {
        vec![Case::new("both sides of zero", &[&[3, 5]], |_, x| x[0].relu())]
    }
}

impl<'t> Var<'t> {
    /// `max(x, 0)` of every element.
    #[track_caller]
    pub fn relu(self) -> Self {
        self.graph().apply(Relu, &[self])
    }
}
