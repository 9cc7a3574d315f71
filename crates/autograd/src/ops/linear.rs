//! `y = f(x Wᵀ + b)`: product, bias and activation in one operation.

use super::unary::BLOCK;
use crate::{Activation, Backward, Case, Forward, GradCheck, Op, Scratch, Var};
use descant_kernels::{Mat, MatMut, Real, add_rows, gemm, gemm_nt_scratch, sum_rows_into};
use descant_tensor::Shape;

/// `x[.., I]`, `W[O, I]` and perhaps `b[O]` to `y[.., O]`.
#[derive(Debug)]
pub struct Linear {
    activation: Activation,
}

impl Linear {
    /// Whether its outputs are those of a ReLU.
    pub(crate) fn is_relu(&self) -> bool {
        self.activation == Activation::Relu
    }
}

impl Op for Linear {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        output_shape(inputs[0], inputs[1], inputs.get(2))
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, w, config) = (ctx.input(0), ctx.weight(1), ctx.gemm_config());
        let (rows, input, output) = (ctx.shape(0).rows(), ctx.shape(1)[1], ctx.shape(1)[0]);
        let bias = (ctx.inputs() > 2).then(|| ctx.input(2));
        let mut scratch = ctx.scratch(gemm_nt_scratch(rows, input, output, config));
        let z = activate(ctx, self.activation, bias, |z| {
            w.gemm(Mat::new(x, rows, input), MatMut::new(z, rows, output), &mut scratch, config);
        });
        ctx.recycle(scratch);
        z.into_iter().for_each(|z| ctx.save(z));
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let scratch = before_activation(ctx, self.activation, 0);
        let dz = scratch.as_deref().unwrap_or(ctx.dy());
        input_gradients(ctx, dz, 2);
        scratch.into_iter().for_each(|scratch| ctx.recycle(scratch));
    }
}

impl GradCheck for Linear {
    fn cases() -> Vec<Case> {
        let shapes: &[&[usize]] = &[&[3, 4], &[2, 4], &[2]];
        type Function = for<'t> fn(Var<'t>) -> Var<'t>;
        let functions: [(&str, Activation, Function); 6] = [
            ("tanh", Activation::Tanh, |z| z.tanh()),
            ("sigmoid", Activation::Sigmoid, |z| z.sigmoid()),
            ("relu", Activation::Relu, |z| z.relu()),
            ("gelu", Activation::Gelu, |z| z.gelu()),
            ("gelu_tanh", Activation::GeluTanh, |z| z.gelu_tanh()),
            ("silu", Activation::Silu, |z| z.silu()),
        ];
        let activations = functions.into_iter().map(|(name, activation, function)| {
            Case::new(name, shapes, move |_, x| x[0].linear(x[1], Some(x[2]), activation))
                .reference(move |_, x| function(x[0].matmul_t(x[1]) + x[2]))
        });
        [
            Case::new("without bias", &[&[3, 4], &[2, 4]], |_, x| x[0].linear(x[1], None, Activation::Identity))
                .reference(|_, x| x[0].matmul_t(x[1])),
            Case::new("with bias", shapes, |_, x| x[0].linear(x[1], Some(x[2]), Activation::Identity))
                .reference(|_, x| x[0].matmul_t(x[1]) + x[2]),
        ]
        .into_iter()
        .chain(activations)
        .collect()
    }
}

/// The shape of `x Wᵀ + b`.
pub(super) fn output_shape(x: Shape, w: Shape, bias: Option<&Shape>) -> Result<Shape, String> {
    if w.rank() != 2 || x.rank() == 0 || x.last() != w[1] {
        return Err("expected x[.., I] and W[O, I]".to_owned());
    }
    if bias.is_some_and(|b| b.dims() != [w[0]]) {
        return Err(format!("expected a bias of shape [{}]", w[0]));
    }
    Ok(x.with_last(w[0]))
}

/// `y = f(z + b)`, where `multiply` writes z. Returns the pre-activation where backward needs it.
pub(super) fn activate<E: Real>(
    ctx: &mut Forward<'_, E>,
    activation: Activation,
    bias: Option<&[E]>,
    multiply: impl FnOnce(&mut [E]),
) -> Option<Scratch<E>> {
    if !ctx.needs_gradient() {
        multiply(ctx.output());
        // Few rows at a time, so that the activation finds them in the first cache.
        let (columns, has_pass) =
            (bias.map_or(1, <[E]>::len).max(1), bias.is_some() || activation != Activation::Identity);
        if has_pass {
            ctx.each_row(columns, |_, y| {
                for y in y.chunks_mut(columns * BLOCK.div_ceil(columns)) {
                    bias.into_iter().for_each(|bias| add_rows(y, bias));
                    activation.in_place(y);
                }
            });
        }
        return None;
    }
    let write = |z: &mut [E]| {
        multiply(z);
        if let Some(bias) = bias {
            add_rows(z, bias);
        }
    };
    if activation.derivative_from_output() {
        write(ctx.output());
        activation.in_place(ctx.output());
        return None;
    }
    let len = ctx.output().len();
    let mut z = ctx.scratch(len);
    write(&mut z);
    activation.value(&z, ctx.output());
    Some(z)
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

/// Accumulates the gradients of x, W and, where there is one, the bias, which is input `bias`.
pub(super) fn input_gradients<E: Real>(ctx: &mut Backward<'_, E>, dz: &[E], bias: usize) {
    let (x, w, config) = (ctx.input(0), ctx.input(1), ctx.gemm_config());
    let (rows, input, output) = (ctx.shape(0).rows(), ctx.shape(1)[1], ctx.shape(1)[0]);
    let dz_matrix = Mat::new(dz, rows, output);
    if let Some((dx, beta)) = ctx.dx_beta(0) {
        gemm(E::one(), dz_matrix, Mat::new(w, output, input), beta, MatMut::new(dx, rows, input), config);
    }
    if let Some((dw, beta)) = ctx.dx_beta(1) {
        gemm(E::one(), dz_matrix.t(), Mat::new(x, rows, input), beta, MatMut::new(dw, output, input), config);
    }
    if ctx.inputs() > bias
        && let Some(db) = ctx.dx(bias)
    {
        sum_rows_into(dz, db);
    }
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
