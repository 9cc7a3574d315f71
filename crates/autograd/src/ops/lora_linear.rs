//! `y = f(x Wᵀ + s (x Aᵀ) Bᵀ + b)`: a linear layer whose weight has a low-rank adapter. Neither the sum `W + s B A` nor its
//! gradient exists, so it costs less than the layer without an adapter whose weight is trained.

use super::linear::{activate, before_activation, input_gradients, output_shape};
use crate::{Activation, Backward, Case, Forward, GradCheck, Op};
use descant_kernels::{Mat, MatMut, Real, gemm, gemm_nt, gemm_nt_scratch};
use descant_tensor::Shape;

/// `x[.., I]`, `W[O, I]`, `A[r, I]`, `B[O, r]` and perhaps `b[O]` to `y[.., O]`.
#[derive(Debug)]
pub struct LoraLinear {
    pub(crate) activation: Activation,
    pub(crate) scale: f64,
}

impl Op for LoraLinear {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (x, w, a, b) = (inputs[0], inputs[1], inputs[2], inputs[3]);
        let shape = output_shape(x, w, inputs.get(4))?;
        if a.rank() != 2 || a[1] != w[1] || b.dims() != [w[0], a[0]] {
            return Err("expected A[r, I] and B[O, r]".to_owned());
        }
        Ok(shape)
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, w, a, b, config) = (ctx.input(0), ctx.input(1), ctx.input(2), ctx.input(3), ctx.gemm_config());
        let (rows, [output, input], rank) = (ctx.shape(0).rows(), [ctx.shape(1)[0], ctx.shape(1)[1]], ctx.shape(2)[0]);
        let bias = (ctx.inputs() > 4).then(|| ctx.input(4));
        let mut scratch = ctx.scratch(gemm_nt_scratch(rows, input, output, config));
        let mut low = ctx.scratch(rows * rank);
        let x = Mat::new(x, rows, input);
        let z = activate(ctx, self.activation, bias, |z| {
            gemm_nt(x, w, E::zero(), MatMut::new(z, rows, output), &mut scratch, config);
            let into = MatMut::new(&mut low, rows, rank);
            gemm(E::of(self.scale), x, Mat::new(a, rank, input).t(), E::zero(), into, config);
            let (left, right) = (Mat::new(&low, rows, rank), Mat::new(b, output, rank).t());
            gemm(E::one(), left, right, E::one(), MatMut::new(z, rows, output), config);
        });
        ctx.recycle(scratch);
        ctx.save(low);
        z.into_iter().for_each(|z| ctx.save(z));
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, a, b, config) = (ctx.input(0), ctx.input(2), ctx.input(3), ctx.gemm_config());
        let (rows, [output, input], rank) = (ctx.shape(0).rows(), [ctx.shape(1)[0], ctx.shape(1)[1]], ctx.shape(2)[0]);
        let low = ctx.take_saved(0, rows * rank);
        let scratch = before_activation(ctx, self.activation, 1);
        let dz = scratch.as_deref().unwrap_or(ctx.dy());
        // The gradient of the weight, which is frozen, only in a gradient check.
        input_gradients(ctx, dz, 4);
        let dz_matrix = Mat::new(dz, rows, output);
        let mut dlow = ctx.scratch(rows * rank);
        let into = MatMut::new(&mut dlow, rows, rank);
        gemm(E::of(self.scale), dz_matrix, Mat::new(b, output, rank), E::zero(), into, config);
        let dlow_matrix = Mat::new(&dlow, rows, rank);
        if let Some(dx) = ctx.dx(0) {
            gemm(E::one(), dlow_matrix, Mat::new(a, rank, input), E::one(), MatMut::new(dx, rows, input), config);
        }
        if let Some((da, beta)) = ctx.dx_beta(2) {
            gemm(E::one(), dlow_matrix.t(), Mat::new(x, rows, input), beta, MatMut::new(da, rank, input), config);
        }
        if let Some((db, beta)) = ctx.dx_beta(3) {
            gemm(E::one(), dz_matrix.t(), Mat::new(&low, rows, rank), beta, MatMut::new(db, output, rank), config);
        }
        [Some(low), Some(dlow), scratch].into_iter().flatten().for_each(|scratch| ctx.recycle(scratch));
    }
}

impl GradCheck for LoraLinear {
    fn cases() -> Vec<Case> {
        let shapes: &[&[usize]] = &[&[3, 4], &[2, 4], &[2, 4], &[2, 2], &[2]];
        let case = |name, shapes, activation: Activation| {
            Case::new(name, shapes, move |graph, x| graph.record(LoraLinear { activation, scale: 0.5 }, x)).reference(
                move |_, x| {
                    let weight = x[1] + x[3].matmul(x[2]).scale(0.5);
                    x[0].linear(weight, x.get(4).copied(), activation)
                },
            )
        };
        vec![
            case("without bias", &shapes[..4], Activation::Identity),
            case("told by its value", shapes, Activation::Tanh),
            case("told by what is before", shapes, Activation::Gelu),
        ]
    }
}
