//! `y = w (x - μ) / √(σ² + ε) + b`, with the mean and the variance of each row (Ba et al. 2016, arXiv 1607.06450).

use crate::{Backward, Case, Forward, Op, Var};
use descant_kernels::{Real, map_into, sum_of, sum_rows_into, zip_into};
use descant_tensor::Shape;

/// `x[.., D]`, `w[D]` and `b[D]` to `y[.., D]`.
#[derive(Debug)]
pub struct LayerNorm {
    epsilon: f64,
}

impl Op for LayerNorm {
    const NAME: &'static str = "layer_norm";

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (x, width) = (inputs[0], inputs[0].last());
        if x.rank() == 0 || inputs[1].dims() != [width] || inputs[2].dims() != [width] {
            return Err("expected x[.., D], a weight[D] and a bias[D]".to_owned());
        }
        Ok(x)
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, w, b, width) = (ctx.input(0), ctx.input(1), ctx.input(2), ctx.shape(0).last().max(1));
        let mut statistics = ctx.scratch(2 * ctx.shape(0).rows());
        let (n, epsilon) = (E::of(width as f64), E::of(self.epsilon));
        let rows = x.chunks_exact(width).zip(ctx.output().chunks_exact_mut(width));
        for ((x, y), statistics) in rows.zip(statistics.chunks_exact_mut(2)) {
            let mean = sum_of(x, x, |x, _| x) / n;
            let variance = sum_of(x, x, |x, _| (x - mean) * (x - mean)) / n;
            let scale = (variance + epsilon).sqrt().recip();
            map_into(x, y, |x| (x - mean) * scale);
            zip_into(y, w, b, |z, w, b| z * w + b);
            statistics.copy_from_slice(&[mean, scale]);
        }
        ctx.save(statistics);
    }

    /// With `z = (x - μ) s` and `g = w dy`: `dx = s (g - mean(g) - z mean(g z))`.
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, w, dy, width) = (ctx.input(0), ctx.input(1), ctx.dy(), ctx.shape(0).last().max(1));
        let statistics = ctx.take_saved(0, 2 * ctx.shape(0).rows());
        let n = E::of(width as f64);
        let (mut z, mut g) = (ctx.scratch(width), ctx.scratch(width));
        for (i, (x, dy)) in x.chunks_exact(width).zip(dy.chunks_exact(width)).enumerate() {
            let (mean, scale) = (statistics[2 * i], statistics[2 * i + 1]);
            map_into(x, &mut z, |x| (x - mean) * scale);
            if let Some(dw) = ctx.dx(1) {
                zip_into(dw, dy, &z, |dw, dy, z| dw + dy * z);
            }
            if let Some(dx) = ctx.dx(0) {
                zip_into(&mut g, dy, w, |_, dy, w| dy * w);
                let (mean_g, mean_gz) = (sum_of(&g, &g, |g, _| g) / n, sum_of(&g, &z, |g, z| g * z) / n);
                let dx = &mut dx[i * width..][..width];
                zip_into(dx, &g, &z, |dx, g, z| dx + scale * (g - mean_g - z * mean_gz));
            }
        }
        if let Some(db) = ctx.dx(2) {
            sum_rows_into(dy, db);
        }
        for scratch in [statistics, z, g] {
            ctx.recycle(scratch);
        }
    }

    fn cases() -> Vec<Case> {
        let case = |name, x: &[usize]| {
            Case::new(name, &[x, &[5], &[5]], |_, x| x[0].layer_norm(x[1], x[2], 1e-3)).reference(|_, x| {
                let axis = x[0].shape().rank() - 1;
                let column = x[0].shape().with_last(1);
                let centred = x[0] - x[0].mean_axis(axis).reshape(column);
                let variance = centred.square().mean_axis(axis).reshape(column);
                centred / (variance + 1e-3).sqrt() * x[1] + x[2]
            })
        };
        vec![case("matrix", &[3, 5]), case("one row", &[5]), case("more axes", &[2, 2, 5])]
    }
}

impl Var<'_> {
    /// Each row of the last axis brought to mean 0 and variance 1, then scaled and shifted: `self[.., D]`, `weight[D]` and
    /// `bias[D]` to `[.., D]`. `epsilon`, 1e-5 in PyTorch, is added to the variance.
    #[track_caller]
    pub fn layer_norm(self, weight: Self, bias: Self, epsilon: f64) -> Self {
        self.graph().apply(LayerNorm { epsilon }, &[self, weight, bias])
    }
}
