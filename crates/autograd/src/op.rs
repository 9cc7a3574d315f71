use crate::context::{Backward, Forward};
use crate::dyn_op::CustomOp;
use descant_kernels::Real;
use descant_tensor::Shape;
use std::fmt;

/// A differentiable operation: shape rule, forward and backward. None has a default, so an operation without a backward does not
/// compile; neither does one of this crate without [`GradCheck`](crate::GradCheck).
pub trait Op: fmt::Debug + Send + 'static {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// The shape of the output.
    ///
    /// # Errors
    /// Why the inputs do not fit, and what is expected; the graph adds the operation, the shapes and the caller's line.
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String>;

    /// Writes every element of the output.
    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>);

    /// Accumulates the vector-Jacobian product into the inputs' gradients.
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>);
}

impl<O: Op> CustomOp for O {
    fn name(&self) -> &'static str {
        Op::name(self)
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Op::shape(self, inputs)
    }

    fn forward_f32(&self, ctx: &mut Forward<'_, f32>) {
        self.forward(ctx);
    }

    fn forward_f64(&self, ctx: &mut Forward<'_, f64>) {
        self.forward(ctx);
    }

    fn backward_f32(&self, ctx: &mut Backward<'_, f32>) {
        self.backward(ctx);
    }

    fn backward_f64(&self, ctx: &mut Backward<'_, f64>) {
        self.backward(ctx);
    }
}
