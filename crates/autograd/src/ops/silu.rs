//! `y = x σ(x)`, also called Swish (Elfwing et al. 2017, arXiv 1702.03118).

use crate::activation;
use crate::{Activation, Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, zip_into};
use descant_tensor::Shape;

/// `y = x σ(x)`.
#[derive(Debug)]
pub struct Silu;

/// `y = x σ(x)`.
pub(crate) fn value<E: Real>(x: &[E], y: &mut [E]) {
    y.copy_from_slice(x);
    E::sigmoid_all(y);
    zip_into(y, x, x, |s, x, _| s * x);
}

/// The derivative of [`value`].
pub(crate) fn slope<E: Real>(x: &[E], slope: &mut [E]) {
    slope.copy_from_slice(x);
    E::sigmoid_all(slope);
    zip_into(slope, x, x, |s, x, _| s * (E::one() + x * (E::one() - s)));
}

impl Op for Silu {
    fn name(&self) -> &'static str {
        "silu"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        activation::forward(ctx, Activation::Silu);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        activation::backward(ctx, Activation::Silu);
    }
}

impl GradCheck for Silu {
    fn cases() -> Vec<Case> {
        let case = Case::new("silu", &[&[3, 5]], |_, x| x[0].silu()).within(-4.0, 4.0);
        vec![case.reference(|_, x| x[0] * x[0].sigmoid())]
    }
}

impl Var<'_> {
    /// `x σ(x)` of every element: any shape to the same.
    #[track_caller]
    pub fn silu(self) -> Self {
        self.graph().apply(Silu, &[self])
    }
}
