//! `y = a + b`, broadcasting.

use crate::broadcast;
use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::Real;
use descant_tensor::Shape;

/// `y = a + b`.
#[derive(Debug)]
pub struct Add;

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        broadcast::shape(inputs[0], inputs[1])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        broadcast::forward(ctx, |a, b| a + b);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        broadcast::backward(ctx, |_, _| E::one(), |_, _| E::one());
    }
}

impl GradCheck for Add {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("same shape", &[&[2, 3], &[2, 3]], |_, x| x[0] + x[1]),
            Case::new("row", &[&[4, 3], &[3]], |_, x| x[0] + x[1]),
            Case::new("column and row", &[&[4, 1], &[2, 1, 3]], |_, x| x[0] + x[1]),
            Case::new("with itself", &[&[3]], |_, x| x[0] + x[0]),
        ]
    }
}

impl<'t> std::ops::Add for Var<'t> {
    type Output = Self;

    #[track_caller]
    fn add(self, other: Self) -> Self {
        self.graph().apply(Add, &[self, other])
    }
}
