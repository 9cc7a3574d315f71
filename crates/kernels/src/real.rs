use descant_tensor::Element;
use rten_simd::SimdUnaryOp;

/// An element type the kernels compute in. The transcendental functions of f32 are `rten-vecmath`'s, exact to a few units in the
/// last place; those of f64, for gradient checks, are the standard library's.
pub trait Real: Element {
    /// `x = e^x`.
    fn exp_all(x: &mut [Self]);
    /// `x = tanh x`.
    fn tanh_all(x: &mut [Self]);
    /// `x = 1 / (1 + e^-x)`.
    fn sigmoid_all(x: &mut [Self]);
    /// `x = x Φ(x)`, Φ the cumulative distribution function of the standard normal (Hendrycks & Gimpel 2016, arXiv 1606.08415).
    fn gelu_all(x: &mut [Self]);
    /// `x = erf x`, the error function.
    fn erf_all(x: &mut [Self]);
    /// The same slice, if this type is f32.
    fn as_f32(x: &[Self]) -> Option<&[f32]>;
    /// The same mutable slice, if this type is f32.
    fn as_f32_mut(x: &mut [Self]) -> Option<&mut [f32]>;
}

impl Real for f32 {
    fn exp_all(x: &mut [Self]) {
        rten_vecmath::Exp {}.map_mut(x);
    }

    fn tanh_all(x: &mut [Self]) {
        rten_vecmath::Tanh {}.map_mut(x);
    }

    fn sigmoid_all(x: &mut [Self]) {
        rten_vecmath::Sigmoid {}.map_mut(x);
    }

    fn gelu_all(x: &mut [Self]) {
        rten_vecmath::Gelu {}.map_mut(x);
    }

    fn erf_all(x: &mut [Self]) {
        rten_vecmath::Erf {}.map_mut(x);
    }

    fn as_f32(x: &[Self]) -> Option<&[f32]> {
        Some(x)
    }

    fn as_f32_mut(x: &mut [Self]) -> Option<&mut [f32]> {
        Some(x)
    }
}

impl Real for f64 {
    fn exp_all(x: &mut [Self]) {
        x.iter_mut().for_each(|x| *x = x.exp());
    }

    fn tanh_all(x: &mut [Self]) {
        x.iter_mut().for_each(|x| *x = x.tanh());
    }

    fn sigmoid_all(x: &mut [Self]) {
        x.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp()));
    }

    fn gelu_all(x: &mut [Self]) {
        x.iter_mut().for_each(|x| *x *= 0.5 * (1.0 + libm::erf(*x * std::f64::consts::FRAC_1_SQRT_2)));
    }

    fn erf_all(x: &mut [Self]) {
        x.iter_mut().for_each(|x| *x = libm::erf(*x));
    }

    fn as_f32(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn as_f32_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
}
