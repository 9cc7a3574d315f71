//! `y = x³`.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, map_into, zip_into};

/// `y = x³`.
#[derive(Debug)]
pub struct Cube;

impl Op for Cube {
    // Another shape than that of the first input, or inputs that may not fit: `shape` computes or refuses it.

    // Writes every element of the output.
    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        map_into(ctx.input(0), ctx.output(), |x| x * x * x);
    }

    // The vector-Jacobian product, added to the gradients of the inputs: dx += dy · 3x².
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, dy) = (ctx.input(0), ctx.dy());
        if let Some(dx) = ctx.dx(0) {
            zip_into(dx, dy, x, |dx, dy, x| dx + dy * x * (x + x + x));
        }
    }
}

impl GradCheck for Cube {
    // Rows of the gradient check: shapes of the inputs, and what to compute from them. `.reference(…)` also compares the
    // values with the same by other operations.
    fn cases() -> Vec<Case> {
        vec![Case::new("cube", &[&[3, 5]], |_, x| x[0].cube()).reference(|_, x| x[0] * x[0] * x[0])]
    }
}

impl Var<'_> {
    /// The cube of every element: any shape to the same.
    #[track_caller]
    pub fn cube(self) -> Self {
        // `apply` once it is one of the crate's own operations: that records it without a box.
        self.graph().custom(Cube, &[self])
    }
}
