//! `y = w x / √(mean(x²) + ε)` for each row (Zhang & Sennrich 2019, arXiv 1910.07467).

use crate::{Backward, Case, Forward, Op, Var};
use descant_kernels::{Real, map_into, sum_of, zip_into};
use descant_tensor::Shape;

/// `x[.., D]` and `w[D]` to `y[.., D]`.
#[derive(Debug)]
pub struct RmsNorm {
    epsilon: f64,
}

impl Op for RmsNorm {
    const NAME: &'static str = "rms_norm";

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let x = inputs[0];
        if x.rank() == 0 || inputs[1].dims() != [x.last()] {
            return Err("expected x[.., D] and a weight[D]".to_owned());
        }
        Ok(x)
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, w, width) = (ctx.input(0), ctx.input(1), ctx.shape(0).last().max(1));
        let mut scales = ctx.scratch(ctx.shape(0).rows());
        let (n, epsilon) = (E::of(width as f64), E::of(self.epsilon));
        let rows = x.chunks_exact(width).zip(ctx.output().chunks_exact_mut(width));
        for ((x, y), s) in rows.zip(scales.iter_mut()) {
            let scale = (sum_of(x, x, |x, _| x * x) / n + epsilon).sqrt().recip();
            zip_into(y, x, w, |_, x, w| x * scale * w);
            *s = scale;
        }
        ctx.save(scales);
    }

    /// With `z = x s` and `g = w dy`: `dx = s (g - z mean(g z))`.
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, w, dy, width) = (ctx.input(0), ctx.input(1), ctx.dy(), ctx.shape(0).last().max(1));
        let scales = ctx.take_saved(0, ctx.shape(0).rows());
        let n = E::of(width as f64);
        let (mut z, mut g) = (ctx.scratch(width), ctx.scratch(width));
        for (i, (x, dy)) in x.chunks_exact(width).zip(dy.chunks_exact(width)).enumerate() {
            let scale = scales[i];
            map_into(x, &mut z, |x| x * scale);
            if let Some(dw) = ctx.dx(1) {
                zip_into(dw, dy, &z, |dw, dy, z| dw + dy * z);
            }
            if let Some(dx) = ctx.dx(0) {
                zip_into(&mut g, dy, w, |_, dy, w| dy * w);
                let mean = sum_of(&g, &z, |g, z| g * z) / n;
                zip_into(&mut dx[i * width..][..width], &g, &z, |dx, g, z| dx + scale * (g - z * mean));
            }
        }
        for scratch in [scales, z, g] {
            ctx.recycle(scratch);
        }
    }

    fn cases() -> Vec<Case> {
        let case = |name, x: &[usize]| {
            Case::new(name, &[x, &[5]], |_, x| x[0].rms_norm(x[1], 1e-3)).reference(|_, x| {
                let square = x[0].square().mean_axis(x[0].shape().rank() - 1);
                x[0] / (square + 1e-3).sqrt().reshape(x[0].shape().with_last(1)) * x[1]
            })
        };
        vec![case("matrix", &[3, 5]), case("one row", &[5]), case("more axes", &[2, 2, 5])]
    }
}

impl Var<'_> {
    /// Each row of the last axis divided by its root mean square, then scaled: `self[.., D]` and `weight[D]` to `[.., D]`.
    /// `epsilon` is added to the mean square.
    #[track_caller]
    pub fn rms_norm(self, weight: Self, epsilon: f64) -> Self {
        self.graph().apply(RmsNorm { epsilon }, &[self, weight])
    }
}
