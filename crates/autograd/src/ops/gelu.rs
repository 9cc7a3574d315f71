//! `y = x Φ(x)`, Φ the normal distribution's cumulative function `½ (1 + erf(x / √2))` (Hendrycks & Gimpel 2016,
//! arXiv 1606.08415).

use crate::activation::{self, BLOCK};
use crate::{Activation, Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, map_into, zip_into};
use descant_tensor::Shape;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// `y = x Φ(x)`.
#[derive(Debug)]
pub struct Gelu;

/// `y = x Φ(x)`.
pub(crate) fn value<E: Real>(x: &[E], y: &mut [E]) {
    y.copy_from_slice(x);
    E::gelu_all(y);
}

/// `slope = Φ(x) + x φ(x)`, with φ the density.
pub(crate) fn slope<E: Real>(x: &[E], slope: &mut [E]) {
    let (half, root) = (E::of(0.5), E::of(FRAC_1_SQRT_2));
    let peak = E::of(0.5 * FRAC_1_SQRT_2 * FRAC_2_SQRT_PI);
    let mut density = [E::zero(); BLOCK];
    for (x, slope) in x.chunks(BLOCK).zip(slope.chunks_mut(BLOCK)) {
        let density = &mut density[..x.len()];
        map_into(x, density, |x| -half * x * x);
        E::exp_all(density);
        map_into(x, slope, |x| root * x);
        E::erf_all(slope);
        zip_into(slope, x, density, |erf, x, e| half * (E::one() + erf) + peak * x * e);
    }
}

impl Op for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        activation::forward(ctx, Activation::Gelu);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        activation::backward(ctx, Activation::Gelu);
    }
}

impl GradCheck for Gelu {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("gelu", &[&[3, 5]], |_, x| x[0].gelu()).within(-3.0, 3.0),
            // Φ(x) + Φ(-x) = 1
            Case::new("both sides", &[&[3, 5]], |_, x| x[0].gelu() - (-x[0]).gelu()).reference(|_, x| x[0]),
        ]
    }
}

impl Var<'_> {
    /// `x Φ(x)` of every element, PyTorch's default GELU: any shape to the same.
    #[track_caller]
    pub fn gelu(self) -> Self {
        self.graph().apply(Gelu, &[self])
    }
}

#[cfg(test)]
mod tests {
    use crate::{Parameters, Tape};
    use descant_tensor::DType;

    #[test]
    fn it_is_the_normal_distribution_and_its_approximation_is_near() -> descant_tensor::Result<()> {
        // x, x Φ(x) and PyTorch's approximation.
        let known = [(1.0, 0.841344746068543, 0.8411919906082768), (-0.5, -0.15426876936299344, -0.15428599017485606)];
        for (x, exact, approximate) in known {
            let mut parameters = Parameters::new(DType::F64);
            let x = parameters.add_with("x", [1], &[x]);
            let mut tape = Tape::new();
            let x = tape.train(&parameters, 0).parameter(x);
            assert!((x.gelu().item()? - exact).abs() < 1e-12);
            assert!((x.gelu_tanh().item()? - approximate).abs() < 1e-12);
        }
        Ok(())
    }
}
