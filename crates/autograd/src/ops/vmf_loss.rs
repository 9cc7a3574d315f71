//! The negative log likelihood of the von Mises-Fisher distribution, for predicted vectors whose direction says which word
//! and whose length says how surely (Kumar & Tsvetkov 2019, arXiv 1812.04616):
//!
//! ```text
//! L = Σᵢ -log Cₘ(‖xᵢ‖) + λ₁ ‖xᵢ‖ - λ₂ xᵢᵀeᵢ      Cₘ(κ) = κ^(m/2-1) / ((2π)^(m/2) I_(m/2-1)(κ))
//! ```
//!
//! with m the length of the vectors and I the modified Bessel function of the first kind. λ₁ = 0 and λ₂ = 1 give the
//! likelihood itself; the paper's two regularisers, against lengths that grow without end, raise the one or lower the other.

mod bessel;

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, axpy, zip_sum};
use descant_tensor::Shape;

/// `x[N, D]` and `e[N, D]`, of unit rows, to a scalar.
#[derive(Debug)]
pub struct VmfLoss {
    lambda1: f64,
    lambda2: f64,
}

impl Op for VmfLoss {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if inputs[0].rank() != 2 || inputs[0] != inputs[1] || inputs[0].last() < 2 {
            return Err("expected x[N, D] and e[N, D] with D of at least 2".to_owned());
        }
        Ok(Shape::default())
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, e, width) = (ctx.input(0), ctx.input(1), ctx.shape(0).last());
        let mut slopes = ctx.scratch(ctx.shape(0).rows());
        let mut loss = 0.0;
        let rows = x.chunks_exact(width).zip(e.chunks_exact(width));
        for (slope, (x, e)) in slopes.iter_mut().zip(rows) {
            let kappa = x.iter().map(|x| x.f64() * x.f64()).sum::<f64>().sqrt();
            let (negative_log_c, ratio) = bessel::normalizer(width, kappa);
            loss += negative_log_c + self.lambda1 * kappa - self.lambda2 * zip_sum(x, e, |x, e| x * e).f64();
            // The gradient of the part that depends on the length, divided by the length.
            *slope = E::of(ratio + if kappa > 0.0 { self.lambda1 / kappa } else { 0.0 });
        }
        ctx.output()[0] = E::of(loss);
        ctx.save(slopes);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, e, dy, width) = (ctx.input(0), ctx.input(1), ctx.dy()[0], ctx.shape(0).last());
        let slopes = ctx.take_saved(0, ctx.shape(0).rows());
        let pull = -dy * E::of(self.lambda2);
        if let Some(dx) = ctx.dx(0) {
            for ((dx, x), &slope) in dx.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(slopes.iter()) {
                axpy(dy * slope, x, dx);
            }
            axpy(pull, e, dx);
        }
        if let Some(de) = ctx.dx(1) {
            axpy(pull, x, de);
        }
        ctx.recycle(slopes);
    }
}

impl GradCheck for VmfLoss {
    fn cases() -> Vec<Case> {
        let case = |name, lambda1, lambda2, shape: &[usize], scale: f64| {
            Case::new(name, &[shape, shape], move |_, x| (x[0] * scale).vmf_loss(x[1], lambda1, lambda2))
        };
        // In three dimensions Cₘ(κ) = κ / (4π sinh κ).
        let three = case("three dimensions", 0.2, 0.8, &[4, 3], 2.0).reference(|_, x| {
            let x0 = x[0] * 2.0;
            let kappa = x0.square().sum_axis(1).sqrt();
            let sinh = (kappa.exp() - (-kappa).exp()) * 0.5;
            let log_c = kappa.log() - sinh.log() - (4.0 * std::f64::consts::PI).ln();
            (kappa * 0.2 - log_c).sum() - (x0 * x[1]).sum() * 0.8
        });
        let zero = Case::new("a row of zeros", &[&[2, 3], &[3, 3]], |graph, x| {
            graph.concat(&[x[0], x[0].slice(0, 1) * 0.0]).vmf_loss(x[1], 0.2, 1.0)
        });
        vec![
            three,
            zero,
            case("two dimensions", 0.0, 1.0, &[3, 2], 1.0),
            case("short vectors", 0.0, 1.0, &[2, 4], 0.2),
            case("long vectors", 0.02, 0.1, &[2, 5], 100.0),
            case("many dimensions", 0.02, 1.0, &[2, 140], 3.0),
        ]
    }
}

impl Var<'_> {
    /// The negative log likelihood of targets of unit length under the von Mises-Fisher distributions that the predicted
    /// vectors stand for, summed over rows: `self[N, D]` and `target[N, D]` to a scalar. `lambda1` weighs the length of
    /// the predicted vectors, `lambda2` their product with the targets; 0 and 1 give the plain likelihood.
    #[track_caller]
    pub fn vmf_loss(self, target: Self, lambda1: f64, lambda2: f64) -> Self {
        self.graph().apply(VmfLoss { lambda1, lambda2 }, &[self, target])
    }
}
