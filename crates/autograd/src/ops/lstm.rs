//! A whole LSTM layer over a ragged batch, in one direction (Hochreiter & Schmidhuber 1997), with PyTorch's parameters
//! and gate order:
//!
//! ```text
//! i, f, g, o = split(x Wᵢₕᵀ + bᵢₕ + h Wₕₕᵀ + bₕₕ)
//! c' = σ(f) c + σ(i) tanh(g)      h' = σ(o) tanh c'
//! ```
//!
//! One product serves the inputs of all time steps, and one in backward each weight gradient of all time steps; only
//! the recurrent product runs step by step. Where tokens share their inputs, as the few symbols of a character model do,
//! the products are those of the distinct inputs alone: `(E Wᵀ)[ids]` is `E[ids] Wᵀ`.

use super::embedding::{add_rows, gather_rows};
use crate::{Backward, Case, Forward, GradCheck, Graph, Op, PackedSequences, Var};
use descant_kernels::{Mat, MatMut, PackedB, Real, gemm, gemm_nt, lstm_cell, sum_rows_into};
use descant_tensor::Shape;
use std::sync::Arc;

/// Inputs `x[N, I]`, or the distinct rows of it, `w_ih[4H, I]`, `w_hh[4H, H]`, `b_ih[4H]`, `b_hh[4H]`, and perhaps
/// `h0[B, H]`, `c0[B, H]`; output `[N + 2B, H]`: the hidden states of all tokens, then the last hidden and the last cell
/// state of each sequence, in the order of [`PackedSequences::order`].
#[derive(Debug)]
pub struct Lstm {
    /// Which row of `x` each token has, where it is not its own.
    rows: Option<Arc<[u32]>>,
    layout: Arc<PackedSequences>,
    reverse: bool,
}

/// The steps in the order they are computed.
pub(crate) fn steps(layout: &PackedSequences, reverse: bool) -> impl DoubleEndedIterator<Item = usize> + use<> {
    let last = layout.steps();
    (0..last).map(move |t| if reverse { last - 1 - t } else { t })
}

/// How many of the sequences of step `t` have run a step before it.
pub(crate) fn continued(layout: &PackedSequences, reverse: bool, t: usize) -> usize {
    match (reverse, t) {
        (true, t) => layout.active(t + 1),
        (false, 0) => 0,
        (false, t) => layout.active(t),
    }
}

/// That each of the tokens has a row among `inputs`.
pub(crate) fn check_rows(rows: Option<&[u32]>, inputs: usize, tokens: usize) -> Result<(), String> {
    if rows.map_or(inputs, <[u32]>::len) != tokens {
        return Err(format!("the layout has {tokens} tokens"));
    }
    match rows.unwrap_or_default().iter().find(|&&row| row as usize >= inputs) {
        Some(row) => Err(format!("row {row} is outside an input of {inputs} rows")),
        None => Ok(()),
    }
}

impl Op for Lstm {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (x, w_ih, w_hh) = (inputs[0], inputs[1], inputs[2]);
        let hidden = w_hh.last();
        let (tokens, sequences) = (self.layout.tokens(), self.layout.sequences());
        let rows = [4 * hidden];
        if w_hh.dims() != [4 * hidden, hidden] || x.rank() != 2 || w_ih.dims() != [4 * hidden, x[1]] {
            return Err("expected x[N, I], w_ih[4H, I] and w_hh[4H, H]".to_owned());
        }
        if inputs[3].dims() != rows || inputs[4].dims() != rows {
            return Err(format!("expected two biases of shape {rows:?}"));
        }
        check_rows(self.rows.as_deref(), x[0], tokens)?;
        if inputs[5..].iter().any(|state| state.dims() != [sequences, hidden]) {
            return Err(format!("expected initial states of shape [{sequences}, {hidden}]"));
        }
        Ok(Shape::from([tokens + 2 * sequences, hidden]))
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, w_ih, w_hh, config) = (ctx.input(0), ctx.input(1), ctx.input(2), ctx.gemm_config());
        let (inputs, input, hidden) = (ctx.shape(0)[0], ctx.shape(1)[1], ctx.shape(2)[1]);
        let (tokens, sequences) = (self.layout.tokens(), self.layout.sequences());
        let initial = (ctx.inputs() > 5).then(|| (ctx.input(5), ctx.input(6)));

        let mut gates = ctx.scratch(tokens * 4 * hidden);
        let mut cell_before = ctx.scratch(tokens * hidden);
        let mut tanh_cell = ctx.scratch(tokens * hidden);
        let mut bias = ctx.scratch(4 * hidden);
        bias.iter_mut().zip(ctx.input(3)).zip(ctx.input(4)).for_each(|((b, &ih), &hh)| *b = ih + hh);
        let (panels, product) = PackedB::<E>::scratch(hidden, 4 * hidden, sequences, config);
        let (mut weights, mut product) = (ctx.scratch(panels.max(w_ih.len())), ctx.scratch(product));
        let x = Mat::new(x, inputs, input);
        match &self.rows {
            None => {
                let sums = MatMut::new(&mut gates, tokens, 4 * hidden);
                gemm_nt(x, w_ih, E::zero(), sums, &mut weights, config);
            }
            Some(rows) => {
                let mut sums = ctx.scratch(inputs * 4 * hidden);
                let distinct = MatMut::new(&mut sums, inputs, 4 * hidden);
                gemm_nt(x, w_ih, E::zero(), distinct, &mut weights, config);
                gather_rows(&sums, 4 * hidden, rows, &mut gates);
                ctx.recycle(sums);
            }
        }

        let weights_hh = PackedB::new(Mat::new(w_hh, 4 * hidden, hidden).t(), &mut weights[..panels], config);

        // The states live where the last ones belong in the output.
        let (states, last) = ctx.output().split_at_mut(tokens * hidden);
        let (last_hidden, last_cell) = last.split_at_mut(sequences * hidden);
        match initial {
            Some((h0, c0)) => {
                last_hidden.copy_from_slice(h0);
                last_cell.copy_from_slice(c0);
            }
            None => {
                last_hidden.fill(E::zero());
                last_cell.fill(E::zero());
            }
        }
        for t in steps(&self.layout, self.reverse) {
            let rows = self.layout.rows(t);
            let active = rows.len();
            let with_state = if initial.is_some() { active } else { continued(&self.layout, self.reverse, t) };
            let gates = &mut gates[rows.start * 4 * hidden..rows.end * 4 * hidden];
            let before = Mat::new(last_hidden, with_state, hidden);
            weights_hh.gemm(before, E::one(), &mut gates[..with_state * 4 * hidden], &mut product);
            let span = rows.start * hidden..rows.end * hidden;
            lstm_cell::Forward {
                gates,
                bias: &bias,
                cell: &mut last_cell[..active * hidden],
                cell_before: &mut cell_before[span.clone()],
                tanh_cell: &mut tanh_cell[span.clone()],
                hidden: &mut last_hidden[..active * hidden],
            }
            .run();
            states[span].copy_from_slice(&last_hidden[..active * hidden]);
        }
        for scratch in [weights, product, bias] {
            ctx.recycle(scratch);
        }
        ctx.save(gates);
        ctx.save(cell_before);
        ctx.save(tanh_cell);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, w_ih, w_hh, config) = (ctx.input(0), ctx.input(1), ctx.input(2), ctx.gemm_config());
        let (inputs, input, hidden) = (ctx.shape(0)[0], ctx.shape(1)[1], ctx.shape(2)[1]);
        let (tokens, sequences) = (self.layout.tokens(), self.layout.sequences());
        let (output, (dy, dlast)) = (ctx.output(), ctx.dy().split_at(tokens * hidden));

        let mut gates = ctx.take_saved(0, tokens * 4 * hidden);
        let cell_before = ctx.take_saved(1, tokens * hidden);
        let tanh_cell = ctx.take_saved(2, tokens * hidden);
        let mut dhidden = ctx.scratch(sequences * hidden);
        let mut dcell = ctx.scratch(sequences * hidden);
        dhidden.copy_from_slice(&dlast[..sequences * hidden]);
        dcell.copy_from_slice(&dlast[sequences * hidden..]);

        // Through time: the saved gates become the gradients of their sums.
        let (panels, product) = PackedB::<E>::scratch(4 * hidden, hidden, sequences, config);
        let (mut panels, mut product) = (ctx.scratch(panels), ctx.scratch(product));
        let weights = PackedB::new(Mat::new(w_hh, 4 * hidden, hidden), &mut panels, config);
        let has_initial = ctx.inputs() > 5;
        for t in steps(&self.layout, self.reverse).rev() {
            let rows = self.layout.rows(t);
            let active = rows.len();
            let with_state = if has_initial { active } else { continued(&self.layout, self.reverse, t) };
            let gates = &mut gates[rows.start * 4 * hidden..rows.end * 4 * hidden];
            let span = rows.start * hidden..rows.end * hidden;
            lstm_cell::Backward {
                gates,
                cell_before: &cell_before[span.clone()],
                tanh_cell: &tanh_cell[span.clone()],
                dy: &dy[span],
                dhidden: &dhidden[..active * hidden],
                dcell: &mut dcell[..active * hidden],
            }
            .run(hidden);
            let dgates = Mat::new(gates, with_state, 4 * hidden);
            weights.gemm(dgates, E::zero(), &mut dhidden, &mut product);
        }

        let dgates_t = Mat::new(&gates, tokens, 4 * hidden).t();
        // The sums of the tokens that share an input.
        let mut shared = ctx.scratch(if self.rows.is_some() { inputs * 4 * hidden } else { 0 });
        let (dsums, dsums_t) = match &self.rows {
            None => (&*gates, dgates_t),
            Some(rows) => {
                shared.fill(E::zero());
                add_rows(&gates, 4 * hidden, rows, &mut shared);
                (&*shared, Mat::new(&shared, inputs, 4 * hidden).t())
            }
        };
        if let Some((dx, beta)) = ctx.dx_beta(0) {
            let (dsums, w_ih) = (Mat::new(dsums, inputs, 4 * hidden), Mat::new(w_ih, 4 * hidden, input));
            gemm(E::one(), dsums, w_ih, beta, MatMut::new(dx, inputs, input), config);
        }
        if let Some((dw, beta)) = ctx.dx_beta(1) {
            let x = Mat::new(x, inputs, input);
            gemm(E::one(), dsums_t, x, beta, MatMut::new(dw, 4 * hidden, input), config);
        }
        if ctx.needs(2) {
            let mut before = ctx.scratch(tokens * hidden);
            let initial = has_initial.then(|| ctx.input(5));
            hidden_before(&self.layout, self.reverse, output, initial, hidden, &mut before);
            let before_matrix = Mat::new(&before, tokens, hidden);
            if let Some((dw, beta)) = ctx.dx_beta(2) {
                gemm(E::one(), dgates_t, before_matrix, beta, MatMut::new(dw, 4 * hidden, hidden), config);
            }
            ctx.recycle(before);
        }
        for bias in [3, 4] {
            if let Some(db) = ctx.dx(bias) {
                sum_rows_into(dsums, db);
            }
        }
        if has_initial {
            for (i, gradient) in [(5, &dhidden), (6, &dcell)] {
                if let Some(dx) = ctx.dx(i) {
                    descant_kernels::axpy(E::one(), gradient, dx);
                }
            }
        }
        for scratch in [gates, cell_before, tanh_cell, dhidden, dcell, panels, product, shared] {
            ctx.recycle(scratch);
        }
    }
}

impl GradCheck for Lstm {
    fn cases() -> Vec<Case> {
        let shapes: &[&[usize]] = &[&[6, 2], &[12, 2], &[12, 3], &[12], &[12]];
        let with_state: &[&[usize]] = &[&[6, 2], &[12, 2], &[12, 3], &[12], &[12], &[3, 3], &[3, 3]];
        let layout = || Arc::new(PackedSequences::new(&[1, 3, 2]));
        let shared = || Arc::from([1, 0, 1, 1, 0, 1]);
        vec![
            Case::new("ragged", shapes, move |_, x| x[0].lstm(None, &weights(x), None, &layout(), false))
                .reference(move |graph, x| reference(graph, x, None, &layout(), false)),
            Case::new("reverse", shapes, move |_, x| x[0].lstm(None, &weights(x), None, &layout(), true))
                .reference(move |graph, x| reference(graph, x, None, &layout(), true)),
            Case::new("with initial state", with_state, move |_, x| {
                x[0].lstm(None, &weights(x), Some((x[5], x[6])), &layout(), false)
            })
            .reference(move |graph, x| reference(graph, x, Some((x[5], x[6])), &layout(), false)),
            Case::new("reverse with initial state", with_state, move |_, x| {
                x[0].lstm(None, &weights(x), Some((x[5], x[6])), &layout(), true)
            })
            .reference(move |graph, x| reference(graph, x, Some((x[5], x[6])), &layout(), true)),
            Case::new("inputs that tokens share", &[&[2, 2], &[12, 2], &[12, 3], &[12], &[12]], move |_, x| {
                x[0].lstm(Some(&shared()), &weights(x), None, &layout(), false)
            })
            .reference(move |graph, x| {
                let each = [x[0].gather(&shared()), x[1], x[2], x[3], x[4]];
                reference(graph, &each, None, &layout(), false)
            }),
        ]
    }
}

/// The hidden state before each token, `[N, H]`: of the step computed before it, or the initial one.
pub(crate) fn hidden_before<E: Real>(
    layout: &PackedSequences,
    reverse: bool,
    states: &[E],
    initial: Option<&[E]>,
    hidden: usize,
    before: &mut [E],
) {
    for t in 0..layout.steps() {
        let (rows, with_state) = (layout.rows(t), continued(layout, reverse, t));
        let (after, fresh) = before[rows.start * hidden..rows.end * hidden].split_at_mut(with_state * hidden);
        if with_state > 0 {
            let from = if reverse { layout.rows(t + 1) } else { layout.rows(t - 1) }.start * hidden;
            after.copy_from_slice(&states[from..][..after.len()]);
        }
        match initial {
            Some(initial) => fresh.copy_from_slice(&initial[with_state * hidden..rows.len() * hidden]),
            None => fresh.fill(E::zero()),
        }
    }
}

fn weights<'t>(x: &[Var<'t>]) -> [Var<'t>; 4] {
    [x[1], x[2], x[3], x[4]]
}

/// The same layer in primitives, step by step.
fn reference<'t>(
    graph: Graph<'t>,
    x: &[Var<'t>],
    initial: Option<(Var<'t>, Var<'t>)>,
    layout: &PackedSequences,
    reverse: bool,
) -> Var<'t> {
    let width = x[2].shape()[1];
    let zero = || graph.constant(&descant_tensor::Tensor::zeros(graph.dtype(), [layout.sequences(), width]));
    let (mut h, mut c) = initial.unwrap_or_else(|| (zero(), zero()));
    let mut outputs = vec![None; layout.steps()];
    for t in steps(layout, reverse) {
        let (n, all) = (layout.active(t), layout.sequences());
        let (h_t, c_t) = (h.slice(0, n), c.slice(0, n));
        let sums =
            x[0].slice(layout.rows(t).start, layout.rows(t).end).matmul_t(x[1]) + x[3] + h_t.matmul_t(x[2]) + x[4];
        let gate = |i: usize| sums.slice_last(i * width, (i + 1) * width);
        let cell = gate(1).sigmoid() * c_t + gate(0).sigmoid() * gate(2).tanh();
        let hidden = gate(3).sigmoid() * cell.tanh();
        outputs[t] = Some(hidden);
        h = graph.concat(&[hidden, h.slice(n, all)]);
        c = graph.concat(&[cell, c.slice(n, all)]);
    }
    let parts: Vec<Var<'t>> = outputs.into_iter().flatten().chain([h, c]).collect();
    graph.concat(&parts)
}

impl<'t> Var<'t> {
    /// One LSTM layer in one direction over a ragged batch: `x[N, I]` to `[N + 2B, H]`, the states of all tokens, then
    /// the last hidden and the last cell states. `weights` are `w_ih[4H, I]`, `w_hh[4H, H]`, `b_ih[4H]`, `b_hh[4H]`. With
    /// `rows`, token `n` has row `rows[n]` of `x`.
    #[track_caller]
    pub fn lstm(
        self,
        rows: Option<&Arc<[u32]>>,
        weights: &[Self; 4],
        initial: Option<(Self, Self)>,
        layout: &Arc<PackedSequences>,
        reverse: bool,
    ) -> Self {
        let op = Lstm { rows: rows.cloned(), layout: layout.clone(), reverse };
        let [w_ih, w_hh, b_ih, b_hh] = *weights;
        match initial {
            Some((h0, c0)) => self.graph().apply(op, &[self, w_ih, w_hh, b_ih, b_hh, h0, c0]),
            None => self.graph().apply(op, &[self, w_ih, w_hh, b_ih, b_hh]),
        }
    }
}
