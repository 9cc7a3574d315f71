use crate::context::{Backward, Forward};
use crate::dyn_op::CustomOp;
use descant_kernels::Real;
use descant_tensor::Shape;
use std::fmt;

/// A differentiable operation: shape rule, forward and backward. One without a backward does not compile; neither does one of this
/// crate without [`GradCheck`](crate::GradCheck). Messages call it by its module in this crate, by its type elsewhere.
pub trait Op: fmt::Debug + Send + 'static {
    /// The shape of the output: by default that of the first input.
    ///
    /// # Errors
    /// Why the inputs do not fit, and what is expected; the graph adds the operation, the shapes and the caller's line.
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    /// Writes every element of the output.
    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>);

    /// Accumulates the vector-Jacobian product into the inputs' gradients.
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>);
}

impl<O: Op> CustomOp for O {
    fn name(&self) -> &'static str {
        let path = std::any::type_name::<O>().split('<').next().unwrap_or_default();
        path.rsplit(':').next().unwrap_or_default()
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
