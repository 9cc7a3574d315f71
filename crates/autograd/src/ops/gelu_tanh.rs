//! `y = ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`: the approximation of GELU that GPT-2 was trained with (Hendrycks &
//! Gimpel 2016, arXiv 1606.08415).

use crate::activation;
use crate::{Activation, Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, map_into, zip_into};
use descant_tensor::Shape;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

const ROOT: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
const CUBIC: f64 = 0.044715;

/// `y = ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
#[derive(Debug)]
pub struct GeluTanh;

/// `σ(2u) = ½ (1 + tanh u)`, with `u` the argument of the tangent.
fn gate<E: Real>(x: &[E], gate: &mut [E]) {
    let (root, cubic) = (E::of(2.0 * ROOT), E::of(CUBIC));
    map_into(x, gate, |x| root * x * (E::one() + cubic * x * x));
    E::sigmoid_all(gate);
}

/// `y = x σ(2u)`.
pub(crate) fn value<E: Real>(x: &[E], y: &mut [E]) {
    gate(x, y);
    zip_into(y, x, x, |s, x, _| x * s);
}

/// The derivative of [`value`].
pub(crate) fn slope<E: Real>(x: &[E], slope: &mut [E]) {
    let (root, cubic) = (E::of(2.0 * ROOT), E::of(3.0 * CUBIC));
    gate(x, slope);
    zip_into(slope, x, x, |s, x, _| s + x * s * (E::one() - s) * root * (E::one() + cubic * x * x));
}

impl Op for GeluTanh {
    fn name(&self) -> &'static str {
        "gelu_tanh"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        activation::forward(ctx, Activation::GeluTanh);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        activation::backward(ctx, Activation::GeluTanh);
    }
}

impl GradCheck for GeluTanh {
    fn cases() -> Vec<Case> {
        let case = Case::new("gelu_tanh", &[&[3, 5]], |_, x| x[0].gelu_tanh()).within(-3.0, 3.0);
        vec![case.reference(|_, x| {
            let t = ((x[0] + x[0].pow(3.0) * CUBIC) * ROOT).tanh();
            x[0] * (t + 1.0) * 0.5
        })]
    }
}

impl Var<'_> {
    /// GELU approximated by a hyperbolic tangent, PyTorch's `approximate="tanh"`: any shape to the same.
    #[track_caller]
    pub fn gelu_tanh(self) -> Self {
        self.graph().apply(GeluTanh, &[self])
    }
}
