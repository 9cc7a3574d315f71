//! `y = f(x Wᵀ + b)`: product, bias and activation in one operation.

use crate::{Activation, Backward, Case, Forward, GradCheck, Op, Scratch, Var};
use descant_kernels::{Mat, MatMut, Real, add_rows, gemm, gemm_nt, gemm_nt_scratch, sum_rows_into};
use descant_tensor::Shape;

/// `x[.., I]`, `W[O, I]` and perhaps `b[O]` to `y[.., O]`.
#[derive(Debug)]
pub struct Linear {
    activation: Activation,
}

impl Op for Linear {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (x, w) = (inputs[0], inputs[1]);
        if w.rank() != 2 || x.rank() == 0 || x.last() != w[1] {
            return Err("expected x[.., I] and W[O, I]".to_owned());
        }
        if inputs.get(2).is_some_and(|b| b.dims() != [w[0]]) {
            return Err(format!("expected a bias of shape [{}]", w[0]));
        }
        Ok(x.with_last(w[0]))
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, w, config) = (ctx.input(0), ctx.input(1), ctx.gemm_config());
        let (rows, input, output) = (ctx.shape(0).rows(), ctx.shape(1)[1], ctx.shape(1)[0]);
        let bias = (ctx.inputs() > 2).then(|| ctx.input(2));
        let mut scratch = ctx.scratch(gemm_nt_scratch(rows, input, output, config));
        let apart = !self.activation.derivative_from_output();
        let mut z = ctx.scratch(if apart { rows * output } else { 0 });
        let product = if apart { &mut *z } else { ctx.output() };
        let into = MatMut::new(product, rows, output);
        gemm_nt(Mat::new(x, rows, input), w, E::zero(), into, &mut scratch, config);
        if let Some(bias) = bias {
            add_rows(product, bias);
        }
        if apart {
            self.activation.value(&z, ctx.output());
        } else {
            self.activation.in_place(product);
        }
        ctx.recycle(scratch);
        if apart {
            ctx.save(z);
        } else {
            ctx.recycle(z);
        }
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, w, dy, config) = (ctx.input(0), ctx.input(1), ctx.dy(), ctx.gemm_config());
        let (rows, input, output) = (ctx.shape(0).rows(), ctx.shape(1)[1], ctx.shape(1)[0]);
        let scratch = before_activation(ctx, self.activation, 0);
        let dz = scratch.as_deref().unwrap_or(dy);
        let dz_matrix = Mat::new(dz, rows, output);
        if let Some((dx, beta)) = ctx.dx_beta(0) {
            gemm(E::one(), dz_matrix, Mat::new(w, output, input), beta, MatMut::new(dx, rows, input), config);
        }
        if let Some((dw, beta)) = ctx.dx_beta(1) {
            gemm(E::one(), dz_matrix.t(), Mat::new(x, rows, input), beta, MatMut::new(dw, output, input), config);
        }
        if ctx.inputs() > 2
            && let Some(db) = ctx.dx(2)
        {
            sum_rows_into(dz, db);
        }
        if let Some(scratch) = scratch {
            ctx.recycle(scratch);
        }
    }
}

impl GradCheck for Linear {
    fn cases() -> Vec<Case> {
        let shapes: &[&[usize]] = &[&[3, 4], &[2, 4], &[2]];
        vec![
            Case::new("without bias", &[&[3, 4], &[2, 4]], |_, x| x[0].linear(x[1], None, Activation::Identity))
                .reference(|_, x| x[0].matmul_t(x[1])),
            Case::new("with bias", shapes, |_, x| x[0].linear(x[1], Some(x[2]), Activation::Identity))
                .reference(|_, x| x[0].matmul_t(x[1]) + x[2]),
            Case::new("tanh", shapes, |_, x| x[0].linear(x[1], Some(x[2]), Activation::Tanh))
                .reference(|_, x| (x[0].matmul_t(x[1]) + x[2]).tanh()),
            Case::new("sigmoid", shapes, |_, x| x[0].linear(x[1], Some(x[2]), Activation::Sigmoid))
                .reference(|_, x| (x[0].matmul_t(x[1]) + x[2]).sigmoid()),
            Case::new("relu", shapes, |_, x| x[0].linear(x[1], Some(x[2]), Activation::Relu))
                .reference(|_, x| (x[0].matmul_t(x[1]) + x[2]).relu()),
            Case::new("gelu", shapes, |_, x| x[0].linear(x[1], Some(x[2]), Activation::Gelu))
                .reference(|_, x| (x[0].matmul_t(x[1]) + x[2]).gelu()),
            Case::new("gelu_tanh", shapes, |_, x| x[0].linear(x[1], Some(x[2]), Activation::GeluTanh))
                .reference(|_, x| (x[0].matmul_t(x[1]) + x[2]).gelu_tanh()),
            Case::new("silu", shapes, |_, x| x[0].linear(x[1], Some(x[2]), Activation::Silu))
                .reference(|_, x| (x[0].matmul_t(x[1]) + x[2]).silu()),
        ]
    }
}

/// The gradient before the activation, where there is one: from the output, or from what forward saved as buffer `saved`.
pub(super) fn before_activation<E: Real>(
    ctx: &mut Backward<'_, E>,
    activation: Activation,
    saved: usize,
) -> Option<Scratch<E>> {
    if activation == Activation::Identity {
        return None;
    }
    let dy = ctx.dy();
    let mut dz = ctx.scratch(dy.len());
    if activation.derivative_from_output() {
        activation.backward_from_output(ctx.output(), dy, &mut dz);
    } else {
        let z = ctx.take_saved(saved, dy.len());
        activation.backward(&z, dy, E::zero(), &mut dz);
        ctx.recycle(z);
    }
    Some(dz)
}

impl<'t> Var<'t> {
    /// `f(self weightᵀ + bias)`: `[.., I]` with `weight[O, I]` and `bias[O]` to `[.., O]`.
    #[track_caller]
    pub fn linear(self, weight: Self, bias: Option<Self>, activation: Activation) -> Self {
        let op = Linear { activation };
        if self.graph().parameters().has_adapters()
            && let Some(y) = self.graph().lora_linear(self, weight, bias, activation)
        {
            return y;
        }
        match bias {
            Some(bias) => self.graph().apply(op, &[self, weight, bias]),
            None => self.graph().apply(op, &[self, weight]),
        }
    }
}
