//! Gated linear units (Dauphin et al. 2017, arXiv 1612.08083; the variants of Shazeer 2020, arXiv 2002.05202):
//!
//! ```text
//! y = f(g) u      with [g; u] = x
//! ```

use crate::{Activation, Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, zip_into};
use descant_tensor::Shape;

/// `x[.., 2F]` to `y[.., F]`: the first half of each row, through an activation, times the second.
#[derive(Debug)]
pub struct Glu {
    activation: Activation,
}

impl Op for Glu {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let x = inputs[0];
        if x.rank() == 0 || !x.last().is_multiple_of(2) {
            return Err("expected x[.., 2F]".to_owned());
        }
        Ok(x.with_last(x.last() / 2))
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, half) = (ctx.input(0), ctx.shape(0).last() / 2);
        let columns = half.max(1);
        ctx.each_row(columns, |rows, y| {
            for (x, y) in x[rows.start * 2 * half..].chunks_exact(2 * columns).zip(y.chunks_exact_mut(columns)) {
                let (gate, up) = x.split_at(half);
                self.activation.value(gate, y);
                zip_into(y, up, up, |f, u, _| f * u);
            }
        });
    }

    /// `du = dy f(g)`, `dg = dy u f'(g)`.
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, dy, half) = (ctx.input(0), ctx.dy(), ctx.shape(0).last() / 2);
        let (mut f, mut dyu) = (ctx.scratch(half), ctx.scratch(half));
        if let Some((dx, beta)) = ctx.dx_beta(0) {
            let rows = x.chunks_exact((2 * half).max(1)).zip(dy.chunks_exact(half.max(1)));
            for ((x, dy), dx) in rows.zip(dx.chunks_exact_mut((2 * half).max(1))) {
                let ((gate, up), (dgate, dup)) = (x.split_at(half), dx.split_at_mut(half));
                self.activation.value(gate, &mut f);
                if beta == E::zero() {
                    zip_into(dup, dy, &f, |_, dy, f| dy * f);
                } else {
                    zip_into(dup, dy, &f, |du, dy, f| du + dy * f);
                }
                zip_into(&mut dyu, dy, up, |_, dy, u| dy * u);
                self.activation.backward(gate, &dyu, beta, dgate);
            }
        }
        ctx.recycle(f);
        ctx.recycle(dyu);
    }
}

impl GradCheck for Glu {
    fn cases() -> Vec<Case> {
        let case = |name, activation| Case::new(name, &[&[3, 6]], move |_, x| x[0].glu(activation)).within(-2.0, 2.0);
        vec![
            case("sigmoid", Activation::Sigmoid).reference(move |_, x| {
                let (g, u) = halves_of(x[0]);
                g.sigmoid() * u
            }),
            case("swiglu", Activation::Silu).reference(move |_, x| {
                let (g, u) = halves_of(x[0]);
                g.silu() * u
            }),
            case("geglu", Activation::Gelu).reference(move |_, x| {
                let (g, u) = halves_of(x[0]);
                g.gelu() * u
            }),
            case("reglu", Activation::Relu),
            case("bilinear", Activation::Identity),
            case("tanh", Activation::Tanh),
        ]
    }
}

fn halves_of(x: Var<'_>) -> (Var<'_>, Var<'_>) {
    (x.slice_last(0, 3), x.slice_last(3, 6))
}

impl Var<'_> {
    /// The first half of each row, through `activation`, times the second: `self[.., 2F]` to `[.., F]`.
    #[track_caller]
    pub fn glu(self, activation: Activation) -> Self {
        self.graph().apply(Glu { activation }, &[self])
    }
}
