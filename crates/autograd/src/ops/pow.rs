//! `y = x^p` with a number p; the square and the square root are two of them.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, map_into, zip_into};

/// `y = x^p`.
#[derive(Debug)]
pub struct Pow {
    exponent: f64,
}

impl Op for Pow {
    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, p) = (ctx.input(0), E::of(self.exponent));
        match self.exponent {
            2.0 => map_into(x, ctx.output(), |x| x * x),
            0.5 => map_into(x, ctx.output(), E::sqrt),
            _ => map_into(x, ctx.output(), |x| x.powf(p)),
        }
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, y, dy, p) = (ctx.input(0), ctx.output(), ctx.dy(), E::of(self.exponent));
        let Some(dx) = ctx.dx(0) else { return };
        match self.exponent {
            2.0 => zip_into(dx, dy, x, |dx, dy, x| dx + dy * (x + x)),
            0.5 => zip_into(dx, dy, y, |dx, dy, y| dx + dy / (y + y)),
            _ => zip_into(dx, dy, x, |dx, dy, x| dx + dy * p * x.powf(p - E::one())),
        }
    }
}

impl GradCheck for Pow {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("square", &[&[3, 5]], |_, x| x[0].square()).reference(|_, x| x[0] * x[0]),
            Case::new("cube", &[&[3, 5]], |_, x| x[0].pow(3.0)).reference(|_, x| x[0] * x[0] * x[0]),
            Case::new("any power", &[&[3, 5]], |_, x| x[0].pow(-1.3))
                .within(0.5, 2.0)
                .reference(|_, x| (x[0].log() * -1.3).exp()),
            Case::new("root", &[&[3, 5]], |_, x| x[0].sqrt())
                .within(0.5, 2.0)
                .reference(|_, x| (x[0].log() * 0.5).exp()),
        ]
    }
}

impl Var<'_> {
    /// `x^exponent` of every element: any shape to the same.
    #[track_caller]
    pub fn pow(self, exponent: f64) -> Self {
        self.graph().apply(Pow { exponent }, &[self])
    }

    /// `x²` of every element: any shape to the same.
    #[track_caller]
    pub fn square(self) -> Self {
        self.pow(2.0)
    }

    /// `√x` of every element: any shape to the same. Its gradient at zero is infinite.
    #[track_caller]
    pub fn sqrt(self) -> Self {
        self.pow(0.5)
    }
}
