//! `y = a / b`, broadcasting.

use crate::broadcast;
use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::Real;
use descant_tensor::Shape;

/// `y = a / b`.
#[derive(Debug)]
pub struct Div;

impl Op for Div {
    fn name(&self) -> &'static str {
        "div"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        broadcast::shape(inputs[0], inputs[1])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        broadcast::forward(ctx, |a, b| a / b);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        broadcast::backward(ctx, |_, b| b.recip(), |a, b| -(a / b) / b);
    }
}

impl GradCheck for Div {
    fn cases() -> Vec<Case> {
        let divide = |name, shapes: &[&[usize]]| {
            Case::new(name, shapes, |_, x| x[0] / x[1]).within(0.5, 2.0).reference(|_, x| x[0] * x[1].pow(-1.0))
        };
        vec![
            divide("same shape", &[&[2, 3], &[2, 3]]),
            divide("by a row", &[&[4, 3], &[3]]),
            divide("by a column", &[&[4, 3], &[4, 1]]),
            divide("by a scalar", &[&[4, 3], &[]]),
            divide("a scalar", &[&[], &[4, 3]]),
            divide("column by row", &[&[4, 1], &[2, 1, 3]]),
            Case::new("by its own square", &[&[3]], |_, x| x[0] / (x[0] * x[0]))
                .within(0.5, 2.0)
                .reference(|_, x| x[0].pow(-1.0)),
        ]
    }
}

impl<'t> std::ops::Div for Var<'t> {
    type Output = Self;

    /// `self / other`, of shapes that broadcast.
    #[track_caller]
    fn div(self, other: Self) -> Self {
        self.graph().apply(Div, &[self, other])
    }
}
