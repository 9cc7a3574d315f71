//! `L = Σᵢ 1 - cos(xᵢ, eᵢ)`: predicted vectors against embeddings of the words they mean.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, zip_into, zip_sum};
use descant_tensor::Shape;

/// `x[N, D]` and `e[N, D]` to a scalar. A row of zeros has cosine 0 and no gradient.
#[derive(Debug)]
pub struct CosineLoss;

/// `1/‖a‖`, `1/‖b‖` and the cosine; zeros where one of them is zero.
fn cosine<E: Real>(a: &[E], b: &[E]) -> [E; 3] {
    let norm = |x: &[E]| zip_sum(x, x, |x, _| x * x).sqrt();
    let (a_norm, b_norm) = (norm(a), norm(b));
    if a_norm == E::zero() || b_norm == E::zero() {
        return [E::zero(); 3];
    }
    let (a_inverse, b_inverse) = (a_norm.recip(), b_norm.recip());
    [a_inverse, b_inverse, zip_sum(a, b, |a, b| (a * a_inverse) * (b * b_inverse))]
}

impl Op for CosineLoss {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if inputs[0].rank() != 2 || inputs[0] != inputs[1] {
            return Err("expected x[N, D] and e[N, D]".to_owned());
        }
        Ok(Shape::default())
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, e, width) = (ctx.input(0), ctx.input(1), ctx.shape(0).last().max(1));
        let rows = x.chunks_exact(width).zip(e.chunks_exact(width));
        ctx.output()[0] = E::of(rows.map(|(x, e)| 1.0 - cosine(x, e)[2].f64()).sum());
    }

    /// `dx = (x/‖x‖ cos - e/‖e‖) / ‖x‖`, and the same for e.
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (dy, width) = (ctx.dy()[0], ctx.shape(0).last().max(1));
        for (own, other) in [(0, 1), (1, 0)] {
            let (a, b) = (ctx.input(own), ctx.input(other));
            let Some(da) = ctx.dx(own) else { continue };
            let rows = a.chunks_exact(width).zip(b.chunks_exact(width));
            for (da, (a, b)) in da.chunks_exact_mut(width).zip(rows) {
                let [a_inverse, b_inverse, cos] = cosine(a, b);
                let (of_a, of_b) = (dy * cos * a_inverse * a_inverse, dy * a_inverse * b_inverse);
                zip_into(da, a, b, |da, a, b| da + of_a * a - of_b * b);
            }
        }
    }
}

impl GradCheck for CosineLoss {
    fn cases() -> Vec<Case> {
        let case = Case::new("rows", &[&[3, 4], &[3, 4]], |_, x| x[0].cosine_loss(x[1])).reference(|_, x| {
            let norms = (x[0].square().sum_axis(1) * x[1].square().sum_axis(1)).sqrt();
            (1.0 - (x[0] * x[1]).sum_axis(1) / norms).sum()
        });
        let zero = Case::new("a row of zeros", &[&[2, 3], &[3, 3]], |graph, x| {
            graph.concat(&[x[0], x[0].slice(0, 1) * 0.0]).cosine_loss(x[1])
        });
        vec![case, zero.reference(|_, x| x[0].cosine_loss(x[1].slice(0, 2)) + 1.0)]
    }
}

impl Var<'_> {
    /// One minus the cosine between each predicted vector and its target, summed over rows: `self[N, D]` and
    /// `target[N, D]` to a scalar.
    #[track_caller]
    pub fn cosine_loss(self, target: Self) -> Self {
        self.graph().apply(CosineLoss, &[self, target])
    }
}
