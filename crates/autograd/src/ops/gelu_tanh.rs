//! `y = ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`: the approximation of GELU that GPT-2 was trained with (Hendrycks &
//! Gimpel 2016, arXiv 1606.08415).

use crate::activation;
use crate::{Activation, Backward, Case, Forward, Op, Var};
use descant_kernels::{Real, map_into, zip_into};
use descant_tensor::Shape;
use std::f64::consts::{FRAC_2_SQRT_PI, FRAC_1_SQRT_2};

const ROOT: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
const CUBIC: f64 = 0.044715;

/// `y = ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
#[derive(Debug)]
pub struct GeluTanh;

/// The hyperbolic tangent in the equation.
fn inner<E: Real>(x: &[E], t: &mut [E]) {
    let (root, cubic) = (E::of(ROOT), E::of(CUBIC));
    map_into(x, t, |x| root * x * (E::one() + cubic * x * x));
    E::tanh_all(t);
}

/// `y = ½ x (1 + t)`, with `t` that tangent.
pub(crate) fn value<E: Real>(x: &[E], y: &mut [E]) {
    let half = E::of(0.5);
    inner(x, y);
    zip_into(y, x, x, |t, x, _| half * x * (E::one() + t));
}

/// The derivative of [`value`].
pub(crate) fn slope<E: Real>(x: &[E], slope: &mut [E]) {
    let (half, root, cubic) = (E::of(0.5), E::of(ROOT), E::of(3.0 * CUBIC));
    inner(x, slope);
    zip_into(slope, x, x, |t, x, _| {
        half * (E::one() + t) * (E::one() + x * (E::one() - t) * root * (E::one() + cubic * x * x))
    });
}

impl Op for GeluTanh {
    const NAME: &'static str = "gelu_tanh";

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        activation::forward(ctx, Activation::GeluTanh);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        activation::backward(ctx, Activation::GeluTanh);
    }

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
