//! `y = W + s B A`: a weight with what a low-rank adapter adds to it.

use crate::{Backward, Case, Forward, GradCheck, Op};
use descant_kernels::{Mat, MatMut, Real, axpy, gemm};
use descant_tensor::Shape;

/// `W[O, I]`, `A[r, I]` and `B[O, r]` to `y[O, I]`.
#[derive(Debug)]
pub struct LoraWeight {
    pub(crate) scale: f64,
}

impl Op for LoraWeight {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match *inputs {
            [w, a, b] if w.rank() == 2 && a.rank() == 2 && b.dims() == [w[0], a[0]] && w[1] == a[1] => Ok(w),
            _ => Err("expected W[O, I], A[r, I] and B[O, r]".to_owned()),
        }
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (w, a, b, config) = (ctx.input(0), ctx.input(1), ctx.input(2), ctx.gemm_config());
        let ([rank, input], output) = ([ctx.shape(1)[0], ctx.shape(1)[1]], ctx.shape(2)[0]);
        let y = ctx.output();
        y.copy_from_slice(w);
        let (b, a) = (Mat::new(b, output, rank), Mat::new(a, rank, input));
        gemm(E::of(self.scale), b, a, E::one(), MatMut::new(y, output, input), config);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (a, b, dy, config) = (ctx.input(1), ctx.input(2), ctx.dy(), ctx.gemm_config());
        let ([rank, input], output) = ([ctx.shape(1)[0], ctx.shape(1)[1]], ctx.shape(2)[0]);
        let (scale, dy_matrix) = (E::of(self.scale), Mat::new(dy, output, input));
        if let Some(dw) = ctx.dx(0) {
            axpy(E::one(), dy, dw);
        }
        if let Some((da, beta)) = ctx.dx_beta(1) {
            let b = Mat::new(b, output, rank);
            gemm(scale, b.t(), dy_matrix, beta, MatMut::new(da, rank, input), config);
        }
        if let Some((db, beta)) = ctx.dx_beta(2) {
            let a = Mat::new(a, rank, input);
            gemm(scale, dy_matrix, a.t(), beta, MatMut::new(db, output, rank), config);
        }
    }
}

impl GradCheck for LoraWeight {
    fn cases() -> Vec<Case> {
        let shapes: &[&[usize]] = &[&[3, 4], &[2, 4], &[3, 2]];
        vec![
            Case::new("a weight", shapes, |graph, x| graph.record(LoraWeight { scale: 0.5 }, &[x[0], x[1], x[2]]))
                .reference(|_, x| x[0] + x[2].matmul(x[1]).scale(0.5)),
        ]
    }
}
