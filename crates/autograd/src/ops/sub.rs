//! `y = a - b`, broadcasting.

use crate::broadcast;
use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::Real;
use descant_tensor::Shape;

/// `y = a - b`.
#[derive(Debug)]
pub struct Sub;

impl Op for Sub {
    fn name(&self) -> &'static str {
        "sub"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        broadcast::shape(inputs[0], inputs[1])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        broadcast::forward(ctx, |a, b| a - b);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        broadcast::backward(ctx, |_, _| E::one(), |_, _| -E::one());
    }
}

impl GradCheck for Sub {
    fn cases() -> Vec<Case> {
        let subtract =
            |name, shapes: &[&[usize]]| Case::new(name, shapes, |_, x| x[0] - x[1]).reference(|_, x| x[0] + -x[1]);
        vec![
            subtract("same shape", &[&[2, 3], &[2, 3]]),
            subtract("row", &[&[4, 3], &[3]]),
            subtract("from a row", &[&[3], &[4, 3]]),
            subtract("column", &[&[2, 4, 1], &[2, 4, 3]]),
        ]
    }
}

impl<'t> std::ops::Sub for Var<'t> {
    type Output = Self;

    /// `self - other`, of shapes that broadcast.
    #[track_caller]
    fn sub(self, other: Self) -> Self {
        self.graph().apply(Sub, &[self, other])
    }
}
