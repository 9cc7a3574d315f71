//! A whole GRU layer over a ragged batch, in one direction (Cho et al. 2014, arXiv 1406.1078), with PyTorch's
//! parameters, gate order and reset gate:
//!
//! ```text
//! r, z = σ(split(x Wᵢₕᵀ + bᵢₕ + h Wₕₕᵀ + bₕₕ))
//! n = tanh(x Wᵢₙᵀ + bᵢₙ + r (h Wₕₙᵀ + bₕₙ))      h' = (1 - z) n + z h
//! ```
//!
//! As in [`super::lstm`], only the recurrent product runs step by step, and inputs that tokens share are multiplied once.

use super::embedding::{add_rows, gather_rows};
use super::lstm::{check_rows, continued, hidden_before, steps};
use crate::{Backward, Case, Forward, GradCheck, Graph, Op, PackedSequences, Var};
use descant_kernels::{Mat, MatMut, PackedB, Real, axpy, gemm, gemm_nt, gru_cell, sum_rows_into};
use descant_tensor::{Shape, Tensor};
use std::sync::Arc;

/// Inputs `x[N, I]`, or the distinct rows of it, `w_ih[3H, I]`, `w_hh[3H, H]`, `b_ih[3H]`, `b_hh[3H]`, and perhaps
/// `h0[B, H]`; output `[N + B, H]`: the hidden states of all tokens, then the last one of each sequence, in the order of [`PackedSequences::order`].
#[derive(Debug)]
pub struct Gru {
    /// Which row of `x` each token has, where it is not its own.
    rows: Option<Arc<[u32]>>,
    layout: Arc<PackedSequences>,
    reverse: bool,
}

impl Op for Gru {
    fn name(&self) -> &'static str {
        "gru"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (x, w_ih, w_hh) = (inputs[0], inputs[1], inputs[2]);
        let hidden = w_hh.last();
        let (tokens, sequences) = (self.layout.tokens(), self.layout.sequences());
        let rows = [3 * hidden];
        if w_hh.dims() != [3 * hidden, hidden] || x.rank() != 2 || w_ih.dims() != [3 * hidden, x[1]] {
            return Err("expected x[N, I], w_ih[3H, I] and w_hh[3H, H]".to_owned());
        }
        if inputs[3].dims() != rows || inputs[4].dims() != rows {
            return Err(format!("expected two biases of shape {rows:?}"));
        }
        check_rows(self.rows.as_deref(), x[0], tokens)?;
        if inputs[5..].iter().any(|state| state.dims() != [sequences, hidden]) {
            return Err(format!("expected an initial state of shape [{sequences}, {hidden}]"));
        }
        Ok(Shape::from([tokens + sequences, hidden]))
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, w_ih, w_hh, config) = (ctx.input(0), ctx.input(1), ctx.input(2), ctx.gemm_config());
        let (bias_ih, bias_hh) = (ctx.input(3), ctx.input(4));
        let (inputs, input, hidden) = (ctx.shape(0)[0], ctx.shape(1)[1], ctx.shape(2)[1]);
        let (tokens, sequences) = (self.layout.tokens(), self.layout.sequences());
        let initial = (ctx.inputs() > 5).then(|| ctx.input(5));

        let mut gates = ctx.scratch(tokens * 3 * hidden);
        let mut recurrent = ctx.scratch(tokens * 3 * hidden);
        let mut before = ctx.scratch(tokens * hidden);
        let (panels, product) = PackedB::<E>::scratch(hidden, 3 * hidden, sequences, config);
        let (mut weights, mut product) = (ctx.scratch(panels.max(w_ih.len())), ctx.scratch(product));
        let x = Mat::new(x, inputs, input);
        match &self.rows {
            None => {
                let sums = MatMut::new(&mut gates, tokens, 3 * hidden);
                gemm_nt(x, w_ih, E::zero(), sums, &mut weights, config);
            }
            Some(rows) => {
                let mut sums = ctx.scratch(inputs * 3 * hidden);
                let distinct = MatMut::new(&mut sums, inputs, 3 * hidden);
                gemm_nt(x, w_ih, E::zero(), distinct, &mut weights, config);
                gather_rows(&sums, 3 * hidden, rows, &mut gates);
                ctx.recycle(sums);
            }
        }

        let weights_hh = PackedB::new(Mat::new(w_hh, 3 * hidden, hidden).t(), &mut weights[..panels], config);

        let (states, last) = ctx.output().split_at_mut(tokens * hidden);
        match initial {
            Some(h0) => last[..sequences * hidden].copy_from_slice(h0),
            None => last.fill(E::zero()),
        }
        for t in steps(&self.layout, self.reverse) {
            let rows = self.layout.rows(t);
            let active = rows.len();
            let with_state = if initial.is_some() { active } else { continued(&self.layout, self.reverse, t) };
            let recurrent = &mut recurrent[rows.start * 3 * hidden..rows.end * 3 * hidden];
            recurrent[with_state * 3 * hidden..].fill(E::zero());
            weights_hh.gemm(Mat::new(last, with_state, hidden), E::zero(), recurrent, &mut product);
            let span = rows.start * hidden..rows.end * hidden;
            gru_cell::Forward {
                gates: &mut gates[rows.start * 3 * hidden..rows.end * 3 * hidden],
                recurrent,
                bias_ih,
                bias_hh,
                hidden: &mut last[..active * hidden],
                hidden_before: &mut before[span.clone()],
            }
            .run();
            states[span].copy_from_slice(&last[..active * hidden]);
        }
        for scratch in [weights, product, before] {
            ctx.recycle(scratch);
        }
        ctx.save(gates);
        ctx.save(recurrent);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, w_ih, w_hh, config) = (ctx.input(0), ctx.input(1), ctx.input(2), ctx.gemm_config());
        let (inputs, input, hidden) = (ctx.shape(0)[0], ctx.shape(1)[1], ctx.shape(2)[1]);
        let (tokens, sequences) = (self.layout.tokens(), self.layout.sequences());
        let (output, (dy, dlast)) = (ctx.output(), ctx.dy().split_at(tokens * hidden));
        let initial = (ctx.inputs() > 5).then(|| ctx.input(5));

        let mut gates = ctx.take_saved(0, tokens * 3 * hidden);
        let mut recurrent = ctx.take_saved(1, tokens * 3 * hidden);
        let mut before = ctx.scratch(tokens * hidden);
        hidden_before(&self.layout, self.reverse, output, initial, hidden, &mut before);
        let mut dhidden = ctx.scratch(sequences * hidden);
        dhidden.copy_from_slice(dlast);

        // Through time: the saved gates become the gradients of the input products, `recurrent` of the hidden ones.
        let (panels, product) = PackedB::<E>::scratch(3 * hidden, hidden, sequences, config);
        let (mut panels, mut product) = (ctx.scratch(panels), ctx.scratch(product));
        let weights = PackedB::new(Mat::new(w_hh, 3 * hidden, hidden), &mut panels, config);
        for t in steps(&self.layout, self.reverse).rev() {
            let rows = self.layout.rows(t);
            let active = rows.len();
            let with_state = if initial.is_some() { active } else { continued(&self.layout, self.reverse, t) };
            let span = rows.start * hidden..rows.end * hidden;
            let recurrent = &mut recurrent[rows.start * 3 * hidden..rows.end * 3 * hidden];
            gru_cell::Backward {
                gates: &mut gates[rows.start * 3 * hidden..rows.end * 3 * hidden],
                recurrent,
                hidden_before: &before[span.clone()],
                dy: &dy[span],
                dhidden: &mut dhidden[..active * hidden],
            }
            .run(hidden);
            let dproduct = Mat::new(recurrent, with_state, 3 * hidden);
            weights.gemm(dproduct, E::one(), &mut dhidden, &mut product);
        }

        // The sums of the tokens that share an input.
        let mut shared = ctx.scratch(if self.rows.is_some() { inputs * 3 * hidden } else { 0 });
        let dsums = match &self.rows {
            None => &*gates,
            Some(rows) => {
                shared.fill(E::zero());
                add_rows(&gates, 3 * hidden, rows, &mut shared);
                &*shared
            }
        };
        let dgates = Mat::new(dsums, inputs, 3 * hidden);
        let drecurrent = Mat::new(&recurrent, tokens, 3 * hidden);
        if let Some((dx, beta)) = ctx.dx_beta(0) {
            let w_ih = Mat::new(w_ih, 3 * hidden, input);
            gemm(E::one(), dgates, w_ih, beta, MatMut::new(dx, inputs, input), config);
        }
        if let Some((dw, beta)) = ctx.dx_beta(1) {
            let x = Mat::new(x, inputs, input);
            gemm(E::one(), dgates.t(), x, beta, MatMut::new(dw, 3 * hidden, input), config);
        }
        if let Some((dw, beta)) = ctx.dx_beta(2) {
            let before = Mat::new(&before, tokens, hidden);
            gemm(E::one(), drecurrent.t(), before, beta, MatMut::new(dw, 3 * hidden, hidden), config);
        }
        for (bias, gradient) in [(3, dsums), (4, &*recurrent)] {
            if let Some(db) = ctx.dx(bias) {
                sum_rows_into(gradient, db);
            }
        }
        if initial.is_some()
            && let Some(dx) = ctx.dx(5)
        {
            axpy(E::one(), &dhidden, dx);
        }
        for scratch in [gates, recurrent, before, dhidden, panels, product, shared] {
            ctx.recycle(scratch);
        }
    }
}

impl GradCheck for Gru {
    fn cases() -> Vec<Case> {
        let shapes: &[&[usize]] = &[&[6, 2], &[9, 2], &[9, 3], &[9], &[9]];
        let with_state: &[&[usize]] = &[&[6, 2], &[9, 2], &[9, 3], &[9], &[9], &[3, 3]];
        let layout = || Arc::new(PackedSequences::new(&[1, 3, 2]));
        let shared = || Arc::from([1, 0, 1, 1, 0, 1]);
        vec![
            Case::new("ragged", shapes, move |_, x| x[0].gru(None, &[x[1], x[2], x[3], x[4]], None, &layout(), false))
                .reference(move |graph, x| reference(graph, x, None, &layout(), false)),
            Case::new("reverse", shapes, move |_, x| x[0].gru(None, &[x[1], x[2], x[3], x[4]], None, &layout(), true))
                .reference(move |graph, x| reference(graph, x, None, &layout(), true)),
            Case::new("with initial state", with_state, move |_, x| {
                x[0].gru(None, &[x[1], x[2], x[3], x[4]], Some(x[5]), &layout(), false)
            })
            .reference(move |graph, x| reference(graph, x, Some(x[5]), &layout(), false)),
            Case::new("reverse with initial state", with_state, move |_, x| {
                x[0].gru(None, &[x[1], x[2], x[3], x[4]], Some(x[5]), &layout(), true)
            })
            .reference(move |graph, x| reference(graph, x, Some(x[5]), &layout(), true)),
            Case::new("inputs that tokens share", &[&[2, 2], &[9, 2], &[9, 3], &[9], &[9]], move |_, x| {
                x[0].gru(Some(&shared()), &[x[1], x[2], x[3], x[4]], None, &layout(), false)
            })
            .reference(move |graph, x| {
                let each = [x[0].gather(&shared()), x[1], x[2], x[3], x[4]];
                reference(graph, &each, None, &layout(), false)
            }),
        ]
    }
}

/// The same layer in primitives, step by step.
fn reference<'t>(
    graph: Graph<'t>,
    x: &[Var<'t>],
    initial: Option<Var<'t>>,
    layout: &PackedSequences,
    reverse: bool,
) -> Var<'t> {
    let width = x[2].shape()[1];
    let zero = || graph.constant(&Tensor::zeros(graph.dtype(), [layout.sequences(), width]));
    let mut h = initial.unwrap_or_else(zero);
    let mut outputs = vec![None; layout.steps()];
    for t in steps(layout, reverse) {
        let rows = layout.rows(t);
        let (n, before) = (rows.len(), h.slice(0, rows.len()));
        let input = x[0].slice(rows.start, rows.end).matmul_t(x[1]) + x[3];
        let product = before.matmul_t(x[2]) + x[4];
        let gate = |i: usize| {
            let part = |sums: Var<'t>| sums.slice_last(i * width, (i + 1) * width);
            (part(input), part(product))
        };
        let sigmoid = |(a, b): (Var<'t>, Var<'t>)| (a + b).sigmoid();
        let (r, z, (input_n, product_n)) = (sigmoid(gate(0)), sigmoid(gate(1)), gate(2));
        let n_t = (input_n + r * product_n).tanh();
        let minus_one =
            graph.constant(&Tensor::new([1], &[-1.0]).unwrap_or_else(|_| Tensor::zeros(graph.dtype(), [1])));
        let hidden = n_t + z * (before + minus_one * n_t);
        outputs[t] = Some(hidden);
        h = graph.concat(&[hidden, h.slice(n, layout.sequences())]);
    }
    let parts: Vec<Var<'t>> = outputs.into_iter().flatten().chain([h]).collect();
    graph.concat(&parts)
}

impl<'t> Var<'t> {
    /// One GRU layer in one direction over a ragged batch: `x[N, I]` to `[N + B, H]`, the states of all tokens, then the
    /// last ones. `weights` are `w_ih[3H, I]`, `w_hh[3H, H]`, `b_ih[3H]`, `b_hh[3H]`. With `rows`, token `n` has row
    /// `rows[n]` of `x`.
    #[track_caller]
    pub fn gru(
        self,
        rows: Option<&Arc<[u32]>>,
        weights: &[Self; 4],
        initial: Option<Self>,
        layout: &Arc<PackedSequences>,
        reverse: bool,
    ) -> Self {
        let op = Gru { rows: rows.cloned(), layout: layout.clone(), reverse };
        let [w_ih, w_hh, b_ih, b_hh] = *weights;
        match initial {
            Some(h0) => self.graph().apply(op, &[self, w_ih, w_hh, b_ih, b_hh, h0]),
            None => self.graph().apply(op, &[self, w_ih, w_hh, b_ih, b_hh]),
        }
    }
}
