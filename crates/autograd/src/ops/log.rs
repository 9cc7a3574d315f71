//! `y = log x`, natural.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, map_into, zip_into};
use descant_tensor::Shape;

/// `y = log x`.
#[derive(Debug)]
pub struct Log;

impl Op for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        map_into(ctx.input(0), ctx.output(), E::ln);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, dy) = (ctx.input(0), ctx.dy());
        if let Some(dx) = ctx.dx(0) {
            zip_into(dx, dy, x, |dx, dy, x| dx + dy / x);
        }
    }
}

impl GradCheck for Log {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("log", &[&[3, 5]], |_, x| x[0].log()).within(0.2, 3.0),
            Case::new("of exp", &[&[3, 5]], |_, x| x[0].exp().log()).reference(|_, x| x[0]),
        ]
    }
}

impl Var<'_> {
    /// The natural logarithm of every element: any shape to the same.
    #[track_caller]
    pub fn log(self) -> Self {
        self.graph().apply(Log, &[self])
    }
}
