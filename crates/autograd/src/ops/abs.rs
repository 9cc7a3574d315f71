//! `y = |x|`, with gradient 0 at 0.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, map_into, zip_into};
use descant_tensor::Shape;

/// `y = |x|`.
#[derive(Debug)]
pub struct Abs;

impl Op for Abs {
    fn name(&self) -> &'static str {
        "abs"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        map_into(ctx.input(0), ctx.output(), E::abs);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, dy) = (ctx.input(0), ctx.dy());
        if let Some(dx) = ctx.dx(0) {
            let zero = E::zero();
            zip_into(dx, dy, x, |dx, dy, x| dx + if x == zero { zero } else { dy * x.signum() });
        }
    }
}

impl GradCheck for Abs {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("positive", &[&[3, 5]], |_, x| x[0].abs()).within(0.1, 1.0).reference(|_, x| x[0]),
            Case::new("negative", &[&[3, 5]], |_, x| x[0].abs()).within(-1.0, -0.1).reference(|_, x| -x[0]),
            Case::new("both at once", &[&[2, 3]], |graph, x| graph.concat(&[x[0], -x[0]]).abs()).within(0.1, 1.0),
            Case::new("zero", &[&[3]], |_, x| (x[0] * 0.0).abs() + x[0]),
        ]
    }
}

impl Var<'_> {
    /// The absolute value of every element: any shape to the same.
    #[track_caller]
    pub fn abs(self) -> Self {
        self.graph().apply(Abs, &[self])
    }
}
