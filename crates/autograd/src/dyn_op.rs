use crate::context::{Backward, Forward};
use descant_kernels::Real;
use descant_tensor::Shape;
use std::fmt;

/// A type-erased operation, from outside this crate; every [`Op`](crate::Op) is one.
pub trait CustomOp: fmt::Debug + Send {
    /// Its type, without the path.
    fn name(&self) -> &'static str;
    /// `Op::shape`.
    ///
    /// # Errors
    /// As there.
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String>;
    /// `Op::forward` in f32.
    fn forward_f32(&self, ctx: &mut Forward<'_, f32>);
    /// `Op::forward` in f64.
    fn forward_f64(&self, ctx: &mut Forward<'_, f64>);
    /// `Op::backward` in f32.
    fn backward_f32(&self, ctx: &mut Backward<'_, f32>);
    /// `Op::backward` in f64.
    fn backward_f64(&self, ctx: &mut Backward<'_, f64>);
}

/// Chooses the method of an erased operation by element type.
pub trait Dispatch: Real {
    /// Calls its forward.
    fn forward(op: &dyn CustomOp, ctx: &mut Forward<'_, Self>);
    /// Calls its backward.
    fn backward(op: &dyn CustomOp, ctx: &mut Backward<'_, Self>);
}

impl Dispatch for f32 {
    fn forward(op: &dyn CustomOp, ctx: &mut Forward<'_, Self>) {
        op.forward_f32(ctx);
    }

    fn backward(op: &dyn CustomOp, ctx: &mut Backward<'_, Self>) {
        op.backward_f32(ctx);
    }
}

impl Dispatch for f64 {
    fn forward(op: &dyn CustomOp, ctx: &mut Forward<'_, Self>) {
        op.forward_f64(ctx);
    }

    fn backward(op: &dyn CustomOp, ctx: &mut Backward<'_, Self>) {
        op.backward_f64(ctx);
    }
}
