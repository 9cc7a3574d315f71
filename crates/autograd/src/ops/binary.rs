//! Elementwise functions of two inputs, broadcasting: a table of name, function and derivatives.

use crate::broadcast;
use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::Real;
use descant_tensor::Shape;

/// The table: for each function its operator, `f(a, b)`, `∂f/∂a` and `∂f/∂b`.
macro_rules! binary {
    ($(
        $(#[$doc:meta])*
        $function:ident $method:ident: $value:expr, $da:expr, $db:expr;
    )*) => {
        /// An elementwise function of two inputs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Binary {
            $($(#[$doc])* $function,)*
        }

        impl Binary {
            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $(Self::$function => stringify!($method),)*
                }
            }
        }

        impl Op for Binary {
            fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
                broadcast::shape(inputs[0], inputs[1])
            }

            fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
                match self {
                    $(Self::$function => broadcast::forward(ctx, $value),)*
                }
            }

            fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
                match self {
                    $(Self::$function => broadcast::backward(ctx, $da, $db),)*
                }
            }
        }

        $(
            impl<'t> std::ops::$function for Var<'t> {
                type Output = Self;

                #[track_caller]
                fn $method(self, other: Self) -> Self {
                    self.graph().apply(Binary::$function, &[self, other])
                }
            }
        )*
    };
}

binary! {
    /// `a + b`.
    Add add: |a: E, b: E| a + b, |_, _| E::one(), |_, _| E::one();
    /// `a - b`.
    Sub sub: |a: E, b: E| a - b, |_, _| E::one(), |_, _| -E::one();
    /// `a b`.
    Mul mul: |a: E, b: E| a * b, |_, b| b, |a, _| a;
    /// `a / b`.
    Div div: |a: E, b: E| a / b, |_, b: E| b.recip(), |a: E, b: E| -(a / b) / b;
}

impl GradCheck for Binary {
    fn cases() -> Vec<Case> {
        let of = |name, shapes: &[&[usize]], f: for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>| {
            Case::new(name, shapes, move |_, x| f(x[0], x[1])).within(0.5, 2.0)
        };
        let add = |name, shapes: &[&[usize]]| of(name, shapes, |a, b| a + b);
        let sub = |name, shapes: &[&[usize]]| of(name, shapes, |a, b| a - b).reference(|_, x| x[0] + -x[1]);
        let mul = |name, shapes: &[&[usize]]| of(name, shapes, |a, b| a * b);
        let div = |name, shapes: &[&[usize]]| of(name, shapes, |a, b| a / b).reference(|_, x| x[0] * x[1].pow(-1.0));
        vec![
            add("add", &[&[2, 3], &[2, 3]]),
            add("add a row", &[&[4, 3], &[3]]),
            add("add a column and a row", &[&[4, 1], &[2, 1, 3]]),
            Case::new("add itself", &[&[3]], |_, x| x[0] + x[0]),
            sub("sub", &[&[2, 3], &[2, 3]]),
            sub("sub a row", &[&[4, 3], &[3]]),
            sub("sub from a row", &[&[3], &[4, 3]]),
            sub("sub from a column", &[&[2, 4, 1], &[2, 4, 3]]),
            mul("mul", &[&[2, 3], &[2, 3]]),
            mul("mul by a row", &[&[4, 3], &[3]]),
            mul("mul a column and a row", &[&[4, 1], &[2, 1, 3]]),
            Case::new("mul by itself", &[&[3]], |_, x| x[0] * x[0]),
            div("div", &[&[2, 3], &[2, 3]]),
            div("div by a row", &[&[4, 3], &[3]]),
            div("div by a column", &[&[4, 3], &[4, 1]]),
            div("div by a scalar", &[&[4, 3], &[]]),
            div("div a scalar", &[&[], &[4, 3]]),
            div("div a column by a row", &[&[4, 1], &[2, 1, 3]]),
            Case::new("div by its own square", &[&[3]], |_, x| x[0] / (x[0] * x[0]))
                .within(0.5, 2.0)
                .reference(|_, x| x[0].pow(-1.0)),
        ]
    }
}
