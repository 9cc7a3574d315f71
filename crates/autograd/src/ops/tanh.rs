//! `y = tanh x`.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, zip_into};
use descant_tensor::Shape;

/// `y = tanh x`.
#[derive(Debug)]
pub struct Tanh;

impl Op for Tanh {
    fn name(&self) -> &'static str {
        "tanh"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let x = ctx.input(0);
        let y = ctx.output();
        y.copy_from_slice(x);
        E::tanh_all(y);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (y, dy) = (ctx.output(), ctx.dy());
        if let Some(dx) = ctx.dx(0) {
            zip_into(dx, dy, y, |dx, dy, y| dx + dy * (E::one() - y * y));
        }
    }
}

impl GradCheck for Tanh {
    fn cases() -> Vec<Case> {
        vec![Case::new("tanh", &[&[3, 5]], |_, x| x[0].tanh()).within(-2.0, 2.0)]
    }
}

impl<'t> Var<'t> {
    /// `tanh` of every element.
    #[track_caller]
    pub fn tanh(self) -> Self {
        self.graph().apply(Tanh, &[self])
    }
}
