//! `y = w (x - μ) / √(σ² + ε) + b`, with the mean and the variance of each row (Ba et al. 2016, arXiv 1607.06450).

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, axpy, lanes, vectorized};
use descant_tensor::Shape;

/// `x[.., D]`, `w[D]` and `b[D]` to `y[.., D]`.
#[derive(Debug)]
pub struct LayerNorm {
    epsilon: f64,
}

impl Op for LayerNorm {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (x, width) = (inputs[0], inputs[0].last());
        if x.rank() == 0 || inputs[1].dims() != [width] || inputs[2].dims() != [width] {
            return Err("expected x[.., D], a weight[D] and a bias[D]".to_owned());
        }
        Ok(x)
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, w, b, width) = (ctx.input(0), ctx.input(1), ctx.input(2), ctx.shape(0).last().max(1));
        if !ctx.needs_gradient() {
            return ctx.each_row(width, |rows, y| self.rows(&x[rows.start * width..], (w, b), y, |_, _| {}));
        }
        let mut statistics = ctx.scratch(2 * ctx.shape(0).rows());
        self.rows(x, (w, b), ctx.output(), |row, own| statistics[2 * row..][..2].copy_from_slice(&own));
        ctx.save(statistics);
    }

    /// With `z = (x - μ) s` and `g = w dy`: `dx = s (g - mean(g) - z mean(g z))`.
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, w, dy, width) = (ctx.input(0), ctx.input(1), ctx.dy(), ctx.shape(0).last().max(1));
        let statistics = ctx.take_saved(0, 2 * ctx.shape(0).rows());
        let n = E::of(width as f64);
        let (mut z, mut g) = (ctx.scratch(width), ctx.scratch(width));
        let (mut dw, mut db) = (ctx.scratch(width), ctx.scratch(width));
        dw.fill(E::zero());
        db.fill(E::zero());
        let (z_row, g_row, dw_row, db_row) = (&mut *z, &mut *g, &mut *dw, &mut *db);
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(statistics.chunks_exact(2));
        let mut target = ctx.dx_beta(0);
        vectorized(
            #[inline(always)]
            || {
                for (i, ((x, dy), statistics)) in rows.enumerate() {
                    let (mean, scale) = (statistics[0], statistics[1]);
                    z_row.iter_mut().zip(x).for_each(|(z, &x)| *z = (x - mean) * scale);
                    dw_row.iter_mut().zip(dy.iter().zip(&*z_row)).for_each(|(dw, (&dy, &z))| *dw += dy * z);
                    db_row.iter_mut().zip(dy).for_each(|(db, &dy)| *db += dy);
                    let Some((dx, beta)) = &mut target else { continue };
                    g_row.iter_mut().zip(dy.iter().zip(w)).for_each(|(g, (&dy, &w))| *g = dy * w);
                    let mean_g = lanes::sum(g_row, g_row, |g, _| g) / n;
                    let mean_gz = lanes::sum(g_row, z_row, |g, z| g * z) / n;
                    let terms = g_row.iter().zip(&*z_row).map(|(&g, &z)| scale * (g - mean_g - z * mean_gz));
                    let dx = dx[i * width..][..width].iter_mut().zip(terms);
                    if *beta == E::zero() {
                        dx.for_each(|(dx, term)| *dx = term);
                    } else {
                        dx.for_each(|(dx, term)| *dx += term);
                    }
                }
            },
        );
        for (i, sum) in [(1, &dw), (2, &db)] {
            if let Some(dx) = ctx.dx(i) {
                axpy(E::one(), sum, dx);
            }
        }
        for scratch in [statistics, z, g, dw, db] {
            ctx.recycle(scratch);
        }
    }
}

impl LayerNorm {
    /// Writes the rows of `y[N, D]`, and hands out the mean and the scale of each.
    fn rows<E: Real>(&self, x: &[E], (w, b): (&[E], &[E]), y: &mut [E], mut keep: impl FnMut(usize, [E; 2])) {
        let width = w.len().max(1);
        let (n, epsilon) = (E::of(width as f64), E::of(self.epsilon));
        vectorized(
            #[inline(always)]
            || {
                for (row, (x, y)) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).enumerate() {
                    let mean = lanes::sum(x, x, |x, _| x) / n;
                    let variance = lanes::sum(x, x, |x, _| (x - mean) * (x - mean)) / n;
                    let scale = (variance + epsilon).sqrt().recip();
                    let terms = x.iter().zip(w.iter().zip(b));
                    y.iter_mut().zip(terms).for_each(|(y, (&x, (&w, &b)))| *y = (x - mean) * scale * w + b);
                    keep(row, [mean, scale]);
                }
            },
        );
    }
}

impl GradCheck for LayerNorm {
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
