//! `y = α x + β` with numbers α and β.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, axpy, map_into};

/// `y = α x + β`.
#[derive(Debug)]
pub struct Affine {
    alpha: f64,
    beta: f64,
}

impl Op for Affine {
    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (alpha, beta) = (E::of(self.alpha), E::of(self.beta));
        map_into(ctx.input(0), ctx.output(), |x| alpha * x + beta);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let dy = ctx.dy();
        if let Some(dx) = ctx.dx(0) {
            axpy(E::of(self.alpha), dy, dx);
        }
    }
}

impl GradCheck for Affine {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("scale and shift", &[&[2, 3]], |_, x| x[0].affine(2.5, 1.5))
                .reference(|_, x| x[0] + x[0] + x[0] * 0.5 + 1.5),
            Case::new("shift down", &[&[2, 3]], |_, x| x[0] - 1.5).reference(|_, x| x[0] + -1.5),
            Case::new("a part", &[&[2, 3]], |_, x| x[0] / 4.0).reference(|_, x| x[0] * 0.25),
            Case::new("from a number", &[&[2, 3]], |_, x| 1.0 - x[0]).reference(|_, x| -x[0] + 1.0),
            Case::new("negative", &[&[2, 3]], |_, x| -x[0]).reference(|_, x| x[0] * -1.0),
        ]
    }
}

impl<'t> Var<'t> {
    /// `alpha self + beta`, elementwise: any shape to the same.
    #[track_caller]
    pub fn affine(self, alpha: f64, beta: f64) -> Self {
        self.graph().apply(Affine { alpha, beta }, &[self])
    }

    /// `alpha self`, elementwise: any shape to the same.
    #[track_caller]
    pub fn scale(self, alpha: f64) -> Self {
        self.affine(alpha, 0.0)
    }
}

impl std::ops::Neg for Var<'_> {
    type Output = Self;

    #[track_caller]
    fn neg(self) -> Self {
        self.scale(-1.0)
    }
}

impl std::ops::Add<f64> for Var<'_> {
    type Output = Self;

    #[track_caller]
    fn add(self, number: f64) -> Self {
        self.affine(1.0, number)
    }
}

impl std::ops::Sub<f64> for Var<'_> {
    type Output = Self;

    #[track_caller]
    fn sub(self, number: f64) -> Self {
        self.affine(1.0, -number)
    }
}

impl std::ops::Mul<f64> for Var<'_> {
    type Output = Self;

    #[track_caller]
    fn mul(self, number: f64) -> Self {
        self.scale(number)
    }
}

impl std::ops::Div<f64> for Var<'_> {
    type Output = Self;

    #[track_caller]
    fn div(self, number: f64) -> Self {
        self.scale(number.recip())
    }
}

impl<'t> std::ops::Sub<Var<'t>> for f64 {
    type Output = Var<'t>;

    #[track_caller]
    fn sub(self, x: Var<'t>) -> Var<'t> {
        x.affine(-1.0, self)
    }
}
