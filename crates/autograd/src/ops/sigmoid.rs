//! `y = 1 / (1 + e^-x)`.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, zip_into};
use descant_tensor::Shape;

/// `y = 1 / (1 + e^-x)`.
#[derive(Debug)]
pub struct Sigmoid;

impl Op for Sigmoid {
    fn name(&self) -> &'static str {
        "sigmoid"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let x = ctx.input(0);
        let y = ctx.output();
        y.copy_from_slice(x);
        E::sigmoid_all(y);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (y, dy) = (ctx.output(), ctx.dy());
        if let Some(dx) = ctx.dx(0) {
            zip_into(dx, dy, y, |dx, dy, y| dx + dy * y * (E::one() - y));
        }
    }
}

impl GradCheck for Sigmoid {
    fn cases() -> Vec<Case> {
        vec![Case::new("sigmoid", &[&[3, 5]], |_, x| x[0].sigmoid()).within(-2.0, 2.0)]
    }
}

impl<'t> Var<'t> {
    /// `sigmoid` of every element.
    #[track_caller]
    pub fn sigmoid(self) -> Self {
        self.graph().apply(Sigmoid, &[self])
    }
}
