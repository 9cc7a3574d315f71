//! Elementwise functions of one input: a table of name, function and derivative.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, map, map_into, zip_into};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// Elements that are processed at a time, so that every pass but the first finds them in the first cache.
pub(crate) const BLOCK: usize = 1024;

/// How a derivative is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Derivative {
    /// `dx = g(dy, x)`.
    FromInput,
    /// `dx = g(dy, y)`: nothing but the output has to be kept.
    FromOutput,
    /// `dx = dy f'(x)`, with `f'` a function of whole slices.
    Slope,
}

/// The table: for each function its name, its value, and its derivative. The value is a function `f(y)` in place, or `f(x, y)`
/// of a function with a slope.
macro_rules! unary {
    ($(
        $(#[$doc:meta])*
        $function:ident $method:ident: $value:expr, $kind:ident $derivative:expr;
    )*) => {
        /// An elementwise function.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Unary {
            $($(#[$doc])* $function,)*
        }

        impl Unary {
            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $(Self::$function => stringify!($method),)*
                }
            }

            fn derivative(self) -> Derivative {
                match self {
                    $(Self::$function => Derivative::$kind,)*
                }
            }

            /// `y = f(x)`, for a block.
            fn block<E: Real>(self, x: &[E], y: &mut [E]) {
                match self {
                    $(Self::$function => unary!(@value $kind $value, x, y),)*
                }
            }

            /// `y = f(y)`.
            pub(crate) fn in_place<E: Real>(self, y: &mut [E]) {
                match self {
                    $(Self::$function => unary!(@in_place $kind $value, y),)*
                }
            }

            /// `dx = g(dx, dy f')`, with the derivative from `t`, which is the input, the output, or the slope.
            fn apply<E: Real>(self, t: &[E], dy: &[E], dx: &mut [E], g: impl Fn(E, E) -> E) {
                match self {
                    $(Self::$function => {
                        let vjp = unary!(@vjp $kind $derivative);
                        zip_into(dx, dy, t, |dx, dy, t| g(dx, vjp(dy, t)));
                    })*
                }
            }

            /// `slope = f'(x)` for the functions whose derivative is a [`Derivative::Slope`].
            fn own_slope<E: Real>(self, x: &[E], slope: &mut [E]) {
                match self {
                    $(Self::$function => unary!(@slope $kind $derivative, x, slope),)*
                }
            }
        }

        impl Op for Unary {
            fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
                let x = ctx.input(0);
                self.value(x, ctx.output());
            }

            fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
                let (x, y, dy) = (ctx.input(0), ctx.output(), ctx.dy());
                match self.derivative() {
                    Derivative::FromInput => _ = ctx.dx(0).map(|dx| self.apply(x, dy, dx, |dx, vjp| dx + vjp)),
                    Derivative::FromOutput => _ = ctx.dx(0).map(|dx| self.apply(y, dy, dx, |dx, vjp| dx + vjp)),
                    Derivative::Slope => _ = ctx.dx_beta(0).map(|(dx, beta)| self.backward_by_slope(x, dy, beta, dx)),
                }
            }
        }

        impl Var<'_> {
            $(
                $(#[$doc])*
                ///
                /// Of every element: any shape to the same.
                #[track_caller]
                pub fn $method(self) -> Self {
                    self.graph().apply(Unary::$function, &[self])
                }
            )*
        }
    };
    (@value Slope $value:expr, $x:ident, $y:ident) => { ($value)($x, $y) };
    (@value $kind:ident $value:expr, $x:ident, $y:ident) => {{
        $y.copy_from_slice($x);
        ($value)($y);
    }};
    (@in_place Slope $value:expr, $y:ident) => {{
        let mut block = [E::zero(); BLOCK];
        for y in $y.chunks_mut(BLOCK) {
            let x = &mut block[..y.len()];
            x.copy_from_slice(y);
            ($value)(x, y);
        }
    }};
    (@in_place $kind:ident $value:expr, $y:ident) => { ($value)($y) };
    (@vjp Slope $slope:expr) => { |dy: E, slope: E| dy * slope };
    (@vjp $kind:ident $vjp:expr) => { $vjp };
    (@slope Slope $slope:expr, $x:ident, $out:ident) => { ($slope)($x, $out) };
    (@slope $kind:ident $vjp:expr, $x:ident, $out:ident) => { unreachable!("its derivative is no slope") };
}

unary! {
    /// `|x|`, with derivative 0 at 0.
    Abs abs: |y: &mut [E]| map(y, E::abs),
        FromInput |dy: E, x: E| if x == E::zero() { E::zero() } else { dy * x.signum() };
    /// `e^x`.
    Exp exp: E::exp_all, FromOutput |dy: E, y: E| dy * y;
    /// `x Φ(x)`, with Φ the cumulative distribution function of the standard normal, `½ (1 + erf(x / √2))` (Hendrycks & Gimpel
    /// 2016, arXiv 1606.08415): PyTorch's default GELU.
    Gelu gelu: gelu, Slope gelu_slope;
    /// `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`: the approximation of GELU that GPT-2 was trained with, PyTorch's
    /// `approximate="tanh"`.
    GeluTanh gelu_tanh: gelu_tanh, Slope gelu_tanh_slope;
    /// `log x`, the natural logarithm.
    Log log: |y: &mut [E]| map(y, E::ln), FromInput |dy: E, x: E| dy / x;
    /// `max(x, 0)`.
    Relu relu: |y: &mut [E]| map(y, |x| x.max(E::zero())),
        FromOutput |dy: E, y: E| if y > E::zero() { dy } else { E::zero() };
    /// `1 / (1 + e^-x)`.
    Sigmoid sigmoid: E::sigmoid_all, FromOutput |dy: E, y: E| dy * y * (E::one() - y);
    /// `x σ(x)`, also called Swish (Elfwing et al. 2017, arXiv 1702.03118).
    Silu silu: silu, Slope silu_slope;
    /// `log(1 + e^x)`.
    Softplus softplus: softplus, Slope softplus_slope;
    /// `tanh x`.
    Tanh tanh: E::tanh_all, FromOutput |dy: E, y: E| dy * (E::one() - y * y);
}

impl Unary {
    /// Whether the derivative is computed from the output.
    pub(crate) fn derivative_from_output(self) -> bool {
        self.derivative() == Derivative::FromOutput
    }

    /// `y = f(x)`.
    pub(crate) fn value<E: Real>(self, x: &[E], y: &mut [E]) {
        for (x, y) in x.chunks(BLOCK).zip(y.chunks_mut(BLOCK)) {
            self.block(x, y);
        }
    }

    /// `dx = dy f'`, with the derivative from the output `y`.
    pub(crate) fn backward_from_output<E: Real>(self, y: &[E], dy: &[E], dx: &mut [E]) {
        self.apply(y, dy, dx, |_, vjp| vjp);
    }

    /// `dx = beta dx + dy f'(x)`, with `beta` 0 or 1; with 0, `dx` is not read. The slope `f'(x)` is computed on its own.
    pub(crate) fn backward_by_slope<E: Real>(self, x: &[E], dy: &[E], beta: E, dx: &mut [E]) {
        let mut slope = [E::zero(); BLOCK];
        for ((x, dy), dx) in x.chunks(BLOCK).zip(dy.chunks(BLOCK)).zip(dx.chunks_mut(BLOCK)) {
            let slope = &mut slope[..x.len()];
            self.slope(x, slope);
            if beta == E::zero() {
                zip_into(dx, dy, slope, |_, dy, slope| dy * slope);
            } else {
                zip_into(dx, dy, slope, |dx, dy, slope| dx + dy * slope);
            }
        }
    }

    /// `slope = f'(x)`, for a block.
    fn slope<E: Real>(self, x: &[E], slope: &mut [E]) {
        if self.derivative() == Derivative::Slope {
            return self.own_slope(x, slope);
        }
        let mut t = [E::zero(); BLOCK];
        let (t, ones) = (&mut t[..x.len()], [E::one(); BLOCK]);
        match self.derivative_from_output() {
            true => self.value(x, t),
            false => t.copy_from_slice(x),
        }
        self.apply(t, &ones[..x.len()], slope, |_, vjp| vjp);
    }
}

fn gelu<E: Real>(x: &[E], y: &mut [E]) {
    y.copy_from_slice(x);
    E::gelu_all(y);
}

fn silu<E: Real>(x: &[E], y: &mut [E]) {
    y.copy_from_slice(x);
    E::sigmoid_all(y);
    zip_into(y, x, x, |s, x, _| s * x);
}

/// `s (1 + x (1 - s))` with `s = σ(x)`.
fn silu_slope<E: Real>(x: &[E], slope: &mut [E]) {
    slope.copy_from_slice(x);
    E::sigmoid_all(slope);
    zip_into(slope, x, x, |s, x, _| s * (E::one() + x * (E::one() - s)));
}

/// `Φ(x) + x φ(x)`, with φ the density of the standard normal.
fn gelu_slope<E: Real>(x: &[E], slope: &mut [E]) {
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

const ROOT_2_BY_PI: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
const CUBIC: f64 = 0.044715;

/// `σ(2u) = ½ (1 + tanh u)`, with `u` the argument of tanh.
fn gelu_tanh_gate<E: Real>(x: &[E], gate: &mut [E]) {
    let (root, cubic) = (E::of(2.0 * ROOT_2_BY_PI), E::of(CUBIC));
    map_into(x, gate, |x| root * x * (E::one() + cubic * x * x));
    E::sigmoid_all(gate);
}

/// `x σ(2u)`.
fn gelu_tanh<E: Real>(x: &[E], y: &mut [E]) {
    gelu_tanh_gate(x, y);
    zip_into(y, x, x, |s, x, _| x * s);
}

fn gelu_tanh_slope<E: Real>(x: &[E], slope: &mut [E]) {
    let (root, cubic) = (E::of(2.0 * ROOT_2_BY_PI), E::of(3.0 * CUBIC));
    gelu_tanh_gate(x, slope);
    zip_into(slope, x, x, |s, x, _| s + x * s * (E::one() - s) * root * (E::one() + cubic * x * x));
}

/// `max(x, 0) + log(1 + e^-|x|)`: the exponential cannot overflow.
fn softplus<E: Real>(x: &[E], y: &mut [E]) {
    map_into(x, y, |x| -x.abs());
    E::exp_all(y);
    zip_into(y, x, x, |e, x, _| x.max(E::zero()) + e.ln_1p());
}

/// `σ(x)`.
fn softplus_slope<E: Real>(x: &[E], slope: &mut [E]) {
    slope.copy_from_slice(x);
    E::sigmoid_all(slope);
}

impl GradCheck for Unary {
    fn cases() -> Vec<Case> {
        let on = |name, f: fn(Var<'_>) -> Var<'_>| Case::new(name, &[&[3, 5]], move |_, x| f(x[0]));
        vec![
            on("abs, positive", |x| x.abs()).within(0.1, 1.0).reference(|_, x| x[0]),
            on("abs, negative", |x| x.abs()).within(-1.0, -0.1).reference(|_, x| -x[0]),
            Case::new("abs, both", &[&[2, 3]], |graph, x| graph.concat(&[x[0], -x[0]]).abs()).within(0.1, 1.0),
            on("abs, zero", |x| (x * 0.0).abs() + x),
            on("exp", |x| x.exp()).within(-2.0, 2.0),
            on("gelu", |x| x.gelu()).within(-3.0, 3.0),
            // Φ(x) + Φ(-x) = 1
            on("gelu, both sides", |x| x.gelu() - (-x).gelu()).reference(|_, x| x[0]),
            on("gelu_tanh", |x| x.gelu_tanh()).within(-3.0, 3.0).reference(|_, x| {
                let t = ((x[0] + x[0].pow(3.0) * CUBIC) * ROOT_2_BY_PI).tanh();
                x[0] * (t + 1.0) * 0.5
            }),
            on("log", |x| x.log()).within(0.2, 3.0),
            on("log of exp", |x| x.exp().log()).reference(|_, x| x[0]),
            on("relu", |x| x.relu()),
            on("sigmoid", |x| x.sigmoid()).within(-2.0, 2.0),
            on("silu", |x| x.silu()).within(-4.0, 4.0).reference(|_, x| x[0] * x[0].sigmoid()),
            on("softplus", |x| x.softplus()).within(-3.0, 3.0).reference(|_, x| (x[0].exp() + 1.0).log()),
            on("softplus of large numbers", |x| x.softplus()).within(800.0, 900.0).reference(|_, x| x[0]),
            on("tanh", |x| x.tanh()).within(-2.0, 2.0),
        ]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Parameters, Tape};
    use descant_tensor::DType;

    #[test]
    fn gelu_and_its_approximation_are_pytorchs() -> descant_tensor::Result<()> {
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
