//! `y = w x / √(mean(x²) + ε)` for each row (Zhang & Sennrich 2019, arXiv 1910.07467).

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, axpy, lanes, vectorized};
use descant_tensor::Shape;

/// `x[.., D]` and `w[D]` to `y[.., D]`.
#[derive(Debug)]
pub struct RmsNorm {
    epsilon: f64,
}

impl Op for RmsNorm {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let x = inputs[0];
        if x.rank() == 0 || inputs[1].dims() != [x.last()] {
            return Err("expected x[.., D] and a weight[D]".to_owned());
        }
        Ok(x)
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, w, width) = (ctx.input(0), ctx.input(1), ctx.shape(0).last().max(1));
        if !ctx.needs_gradient() {
            return ctx.each_row(width, |rows, y| self.rows(&x[rows.start * width..], w, y, |_, _| {}));
        }
        let mut scales = ctx.scratch(ctx.shape(0).rows());
        self.rows(x, w, ctx.output(), |row, scale| scales[row] = scale);
        ctx.save(scales);
    }

    /// With `z = x s` and `g = w dy`: `dx = s (g - z mean(g z))`.
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, w, dy, width) = (ctx.input(0), ctx.input(1), ctx.dy(), ctx.shape(0).last().max(1));
        let scales = ctx.take_saved(0, ctx.shape(0).rows());
        let n = E::of(width as f64);
        let (mut z, mut g, mut dw) = (ctx.scratch(width), ctx.scratch(width), ctx.scratch(width));
        dw.fill(E::zero());
        let (z_row, g_row, dw_row) = (&mut *z, &mut *g, &mut *dw);
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(scales.iter());
        let mut target = ctx.dx_beta(0);
        vectorized(
            #[inline(always)]
            || {
                for (i, ((x, dy), &scale)) in rows.enumerate() {
                    z_row.iter_mut().zip(x).for_each(|(z, &x)| *z = x * scale);
                    dw_row.iter_mut().zip(dy.iter().zip(&*z_row)).for_each(|(dw, (&dy, &z))| *dw += dy * z);
                    let Some((dx, beta)) = &mut target else { continue };
                    g_row.iter_mut().zip(dy.iter().zip(w)).for_each(|(g, (&dy, &w))| *g = dy * w);
                    let mean = lanes::sum(g_row, z_row, |g, z| g * z) / n;
                    let terms = g_row.iter().zip(&*z_row).map(|(&g, &z)| scale * (g - z * mean));
                    let dx = dx[i * width..][..width].iter_mut().zip(terms);
                    if *beta == E::zero() {
                        dx.for_each(|(dx, term)| *dx = term);
                    } else {
                        dx.for_each(|(dx, term)| *dx += term);
                    }
                }
            },
        );
        if let Some(dx) = ctx.dx(1) {
            axpy(E::one(), &dw, dx);
        }
        for scratch in [scales, z, g, dw] {
            ctx.recycle(scratch);
        }
    }
}

impl RmsNorm {
    /// Writes the rows of `y[N, D]`, and hands out the scale of each.
    fn rows<E: Real>(&self, x: &[E], w: &[E], y: &mut [E], mut keep: impl FnMut(usize, E)) {
        let width = w.len().max(1);
        let (n, epsilon) = (E::of(width as f64), E::of(self.epsilon));
        vectorized(
            #[inline(always)]
            || {
                for (row, (x, y)) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).enumerate() {
                    let scale = (lanes::sum(x, x, |x, _| x * x) / n + epsilon).sqrt().recip();
                    y.iter_mut().zip(x.iter().zip(w)).for_each(|(y, (&x, &w))| *y = x * scale * w);
                    keep(row, scale);
                }
            },
        );
    }
}

impl GradCheck for RmsNorm {
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
