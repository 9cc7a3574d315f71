//! What the recurrent layers share: the loop over time and backpropagation through time, over a ragged batch, in one direction.
//!
//! One GEMM computes the input terms `x Wᵢₕᵀ` of all time steps, and in backward one GEMM each the weight gradients of all time
//! steps; only the recurrent GEMM `h Wₕₕᵀ` runs step by step, with its weights packed once. Where tokens share their inputs, as
//! the few symbols of a character model do, the input GEMM is that of the distinct inputs alone: `(E Wᵀ)[ids]` is `E[ids] Wᵀ`. In
//! inference the input terms of an embedding are kept (`input_terms.rs`).

use super::embedding::{add_rows, gather_rows};
use crate::input_terms::InputTerms;
use crate::pool::Scratch;
use crate::weight::{StoredWeight, Weight};
use crate::{Backward, Forward, Graph, PackedSequences, Var};
use descant_kernels::{Mat, MatMut, PackedB, Real, axpy, gemm, run_on_rows, sum_rows_into, zip_into};
use descant_tensor::{Shape, Tensor};
use std::ops::Range;
use std::sync::Arc;

/// A layer in one direction. Its inputs are `x[N, I]`, or the distinct rows of it; `w_ih[G·H, I]`, `w_hh[G·H, H]`, `b_ih[G·H]`,
/// `b_hh[G·H]` of G gates; and perhaps initial states `[B, H]`, and a mask `[B, H]` by which the hidden state is multiplied before each
/// recurrent GEMM (Gal & Ghahramani 2016): a constant, which gets no gradient. Its output is `[N + S·B, H]`: the hidden states of all tokens,
/// then each of the S last states, in the order of [`PackedSequences::order`].
#[derive(Debug)]
pub(super) struct Recurrent {
    /// The row of `x` of each token, if it is not the token's own.
    pub(super) rows: Option<Arc<[u32]>>,
    pub(super) layout: Arc<PackedSequences>,
    pub(super) reverse: bool,
    pub(super) has_initial: bool,
    /// Whether the last input is a mask.
    pub(super) has_mask: bool,
}

/// The mask of a pass, and scratch of its size.
pub(super) type Masked<'a, E> = Option<(&'a [E], Scratch<E>)>;

/// One time step.
pub(super) struct Step {
    /// Its rows among those of all tokens.
    rows: Range<usize>,
    /// How many of its sequences have a state before it.
    with_state: usize,
}

/// Sizes of a layer.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    inputs: usize,
    input: usize,
    pub(super) hidden: usize,
    pub(super) tokens: usize,
    pub(super) sequences: usize,
}

/// The pointwise part of a cell in forward. `span` is the range of the step's tokens in `[N, H]`.
pub(super) trait ForwardCell<E> {
    /// Overwrites the hidden state of the previous step, `[n, H]`, by that of this one. `gates` holds the pre-activations, or,
    /// if the recurrent terms are kept apart, the input terms.
    fn step(&mut self, gates: &mut [E], recurrent: &mut [E], span: Range<usize>, hidden: &mut [E]);
}

/// The same in backward.
pub(super) trait BackwardCell<E> {
    /// Overwrites the saved activations by the gradients of the pre-activations. `dhidden` is the gradient of the hidden state from
    /// the next step.
    fn step(&mut self, gates: &mut [E], recurrent: &mut [E], span: Range<usize>, dhidden: &mut [E]);
}

impl Recurrent {
    /// The shape of the output, of a cell with so many gates and states.
    pub(super) fn shape(&self, inputs: &[Shape], gates: usize, states: usize) -> Result<Shape, String> {
        let (x, w_ih, w_hh) = (inputs[0], inputs[1], inputs[2]);
        let hidden = w_hh.last();
        let (tokens, sequences) = (self.layout.tokens(), self.layout.sequences());
        let width = gates * hidden;
        if w_hh.dims() != [width, hidden] || x.rank() != 2 || w_ih.dims() != [width, x[1]] {
            return Err(format!("expected x[N, I], w_ih[{gates}H, I] and w_hh[{gates}H, H]"));
        }
        if inputs[3].dims() != [width] || inputs[4].dims() != [width] {
            return Err(format!("expected two biases of shape [{width}]"));
        }
        self.check_rows(x[0])?;
        if inputs[5..].iter().any(|state| state.dims() != [sequences, hidden]) {
            return Err(format!("expected initial states of shape [{sequences}, {hidden}]"));
        }
        Ok(Shape::from([tokens + states * sequences, hidden]))
    }

    /// Checks that each token has a row among `inputs`.
    fn check_rows(&self, inputs: usize) -> Result<(), String> {
        let (rows, tokens) = (self.rows.as_deref(), self.layout.tokens());
        if rows.map_or(inputs, <[u32]>::len) != tokens {
            return Err(format!("the layout has {tokens} tokens"));
        }
        match rows.unwrap_or_default().iter().find(|&&row| row as usize >= inputs) {
            Some(row) => Err(format!("row {row} is outside an input of {inputs} rows")),
            None => Ok(()),
        }
    }

    pub(super) fn sizes(&self, shape: impl Fn(usize) -> Shape) -> Sizes {
        let (tokens, sequences) = (self.layout.tokens(), self.layout.sequences());
        Sizes { inputs: shape(0)[0], input: shape(1)[1], hidden: shape(2)[1], tokens, sequences }
    }

    /// The time steps in the order they are computed.
    pub(super) fn times(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let (end, reverse) = (self.layout.steps(), self.reverse);
        (0..end).map(move |t| if reverse { end - 1 - t } else { t })
    }

    /// The mask among the inputs, with scratch.
    pub(super) fn mask<'a, E: Real>(&self, ctx: &mut Forward<'a, E>) -> Masked<'a, E> {
        self.has_mask.then(|| ctx.input(ctx.inputs() - 1)).map(|mask| (mask, ctx.scratch(mask.len())))
    }

    fn steps(&self) -> impl DoubleEndedIterator<Item = Step> + '_ {
        self.times().map(move |t| {
            let rows = self.layout.rows(t);
            let with_state = if self.has_initial { rows.len() } else { self.continued(t) };
            Step { rows, with_state }
        })
    }

    /// How many of the sequences of step `t` have run a step before it.
    fn continued(&self, t: usize) -> usize {
        match (self.reverse, t) {
            (true, t) => self.layout.active(t + 1),
            (false, 0) => 0,
            (false, t) => self.layout.active(t),
        }
    }

    /// The input terms `x Wᵢₕᵀ` of all tokens, into `gates[N, G·H]`. `scratch` has at least the size of `w_ih`.
    pub(super) fn input_terms<E: Real>(&self, ctx: &mut Forward<'_, E>, gates: &mut [E], scratch: &mut [E]) {
        let Sizes { inputs, input, tokens, .. } = self.sizes(|i| ctx.shape(i));
        if let (Weight::Stored(table), Some(ids)) = (ctx.weight(0), &self.rows) {
            return ctx.input_terms(table, ids, gates);
        }
        let (x, w_ih, config) = (Mat::new(ctx.input(0), inputs, input), ctx.weight(1), ctx.gemm_config());
        let width = ctx.shape(1)[0];
        match &self.rows {
            None => w_ih.gemm(x, MatMut::new(gates, tokens, width), scratch, config),
            Some(rows) => {
                let mut distinct = ctx.scratch(inputs * width);
                w_ih.gemm(x, MatMut::new(&mut distinct, inputs, width), scratch, config);
                gather_rows(&distinct, width, rows, gates);
                ctx.recycle(distinct);
            }
        }
    }

    /// The loop over time. The recurrent terms are added to `gates`, unless `recurrent` has room to keep them apart. `hidden` holds
    /// the initial hidden states, and then the last ones.
    pub(super) fn forward<E: Real>(
        &self,
        w_hh: &PackedB<'_, E>,
        (gates, recurrent): (&mut [E], &mut [E]),
        (states, hidden): (&mut [E], &mut [E]),
        masked: &mut Masked<'_, E>,
        scratch: &mut [E],
        cell: &mut impl ForwardCell<E>,
    ) {
        let (height, tokens) = (hidden.len() / self.layout.sequences().max(1), self.layout.tokens());
        let width = gates.len() / tokens.max(1);
        let is_apart = !recurrent.is_empty();
        for Step { rows, with_state } in self.steps() {
            let gates = &mut gates[rows.start * width..rows.end * width];
            let recurrent = if is_apart { &mut recurrent[rows.start * width..rows.end * width] } else { &mut [] };
            let before: &[E] = match masked {
                None => hidden,
                Some((mask, masked)) => {
                    let size = with_state * height;
                    zip_into(&mut masked[..size], &hidden[..size], &mask[..size], |_, h, m| h * m);
                    masked
                }
            };
            let before = Mat::new(before, with_state, height);
            if is_apart {
                recurrent[with_state * width..].fill(E::zero());
                w_hh.gemm(before, E::zero(), recurrent, scratch);
            } else {
                w_hh.gemm(before, E::one(), &mut gates[..with_state * width], scratch);
            }
            let (span, active) = (rows.start * height..rows.end * height, rows.len() * height);
            cell.step(gates, recurrent, span.clone(), &mut hidden[..active]);
            states[span].copy_from_slice(&hidden[..active]);
        }
    }

    /// Backpropagation through time: overwrites the saved activations by the gradients of the pre-activations, and `dhidden` by the
    /// gradient of the initial hidden states. With `beta` zero, the recurrent GEMM is all of the gradient of the hidden state
    /// before a step; with one, it is added to what the cell leaves in `dhidden`.
    pub(super) fn backward<E: Real>(
        &self,
        w_hh: &PackedB<'_, E>,
        (gates, recurrent): (&mut [E], &mut [E]),
        (dhidden, beta): (&mut [E], E),
        masked: &mut Masked<'_, E>,
        scratch: &mut [E],
        cell: &mut impl BackwardCell<E>,
    ) {
        let (height, tokens) = (dhidden.len() / self.layout.sequences().max(1), self.layout.tokens());
        let width = gates.len() / tokens.max(1);
        let is_apart = !recurrent.is_empty();
        for Step { rows, with_state } in self.steps().rev() {
            let gates = &mut gates[rows.start * width..rows.end * width];
            let recurrent = if is_apart { &mut recurrent[rows.start * width..rows.end * width] } else { &mut [] };
            let (span, active) = (rows.start * height..rows.end * height, rows.len() * height);
            cell.step(gates, recurrent, span, &mut dhidden[..active]);
            let dterms = Mat::new(if is_apart { recurrent } else { gates }, with_state, width);
            match masked {
                None => w_hh.gemm(dterms, beta, dhidden, scratch),
                Some((mask, product)) => {
                    w_hh.gemm(dterms, E::zero(), product, scratch);
                    let size = with_state * height;
                    let (dhidden, product, mask) = (&mut dhidden[..size], &product[..size], &mask[..size]);
                    match beta == E::zero() {
                        true => zip_into(dhidden, product, mask, |_, d, m| d * m),
                        false => zip_into(dhidden, product, mask, |dh, d, m| dh + d * m),
                    }
                }
            }
        }
    }

    /// Accumulates the gradients of `x`, the weights and the biases, from those of the input terms, and of the recurrent terms if
    /// they are kept apart. `before[N, H]` holds the hidden state before each token.
    pub(super) fn input_gradients<E: Real>(
        &self,
        ctx: &mut Backward<'_, E>,
        dgates: &[E],
        drecurrent: Option<&[E]>,
        before: Option<&[E]>,
    ) {
        let Sizes { inputs, input, hidden, tokens, .. } = self.sizes(|i| ctx.shape(i));
        let (x, w_ih, config, width) = (ctx.input(0), ctx.input(1), ctx.gemm_config(), ctx.shape(1)[0]);
        // Summed over the tokens that share an input.
        let mut shared: Scratch<E> = ctx.scratch(if self.rows.is_some() { inputs * width } else { 0 });
        let dterms = match &self.rows {
            None => dgates,
            Some(rows) => {
                shared.fill(E::zero());
                add_rows(dgates, width, rows, &mut shared);
                &*shared
            }
        };
        let dterms_matrix = Mat::new(dterms, inputs, width);
        if let Some((dx, beta)) = ctx.dx_beta(0) {
            gemm(E::one(), dterms_matrix, Mat::new(w_ih, width, input), beta, MatMut::new(dx, inputs, input), config);
        }
        if let Some((dw, beta)) = ctx.dx_beta(1) {
            let x = Mat::new(x, inputs, input);
            gemm(E::one(), dterms_matrix.t(), x, beta, MatMut::new(dw, width, input), config);
        }
        if let (Some(before), Some((dw, beta))) = (before, ctx.dx_beta(2)) {
            let drecurrent = Mat::new(drecurrent.unwrap_or(dgates), tokens, width);
            let before = Mat::new(before, tokens, hidden);
            gemm(E::one(), drecurrent.t(), before, beta, MatMut::new(dw, width, hidden), config);
        }
        for (bias, gradient) in [(3, dterms), (4, drecurrent.unwrap_or(dterms))] {
            if let Some(db) = ctx.dx(bias) {
                sum_rows_into(gradient, db);
            }
        }
        ctx.recycle(shared);
    }

    /// Multiplies what each token has, `[N, H]`, by the mask of its sequence.
    pub(super) fn apply_mask<E: Real>(&self, masked: &Masked<'_, E>, hidden: usize, rows: &mut [E]) {
        let Some((mask, _)) = masked else { return };
        for t in 0..self.layout.steps() {
            let of_step = self.layout.rows(t);
            let rows = &mut rows[of_step.start * hidden..of_step.end * hidden];
            rows.iter_mut().zip(*mask).for_each(|(x, &m)| *x *= m);
        }
    }

    /// The hidden state before each token, `[N, H]`: that of the step computed before it, or the initial one.
    pub(super) fn hidden_before<E: Real>(&self, states: &[E], initial: Option<&[E]>, hidden: usize, before: &mut [E]) {
        for t in 0..self.layout.steps() {
            let (rows, with_state) = (self.layout.rows(t), self.continued(t));
            let (after, fresh) = before[rows.start * hidden..rows.end * hidden].split_at_mut(with_state * hidden);
            if with_state > 0 {
                let from = self.layout.rows(if self.reverse { t + 1 } else { t - 1 }).start * hidden;
                after.copy_from_slice(&states[from..][..after.len()]);
            }
            match initial {
                Some(initial) => fresh.copy_from_slice(&initial[with_state * hidden..rows.len() * hidden]),
                None => fresh.fill(E::zero()),
            }
        }
    }
}

/// Copies an initial state, or zeros.
pub(super) fn copy_initial<E: Real>(initial: Option<&[E]>, state: &mut [E]) {
    match initial {
        Some(initial) => state.copy_from_slice(initial),
        None => state.fill(E::zero()),
    }
}

/// A mask of three sequences and three units, for the cases of the gradient check.
pub(super) fn mask(graph: Graph<'_>) -> Var<'_> {
    let mask = Tensor::new([3, 3], &[2.0, 0.0, 2.0, 0.0, 0.0, 2.0, 2.0, 2.0, 0.0]);
    graph.constant(&mask.unwrap_or_else(|_| Tensor::zeros(graph.dtype(), [3, 3])))
}

/// Adds the gradient of an initial state.
pub(super) fn add_initial_gradient<E: Real>(ctx: &mut Backward<'_, E>, input: usize, gradient: &[E]) {
    if let Some(dx) = ctx.dx(input) {
        axpy(E::one(), gradient, dx);
    }
}

impl<'a, E: Real> Forward<'a, E> {
    /// Writes the terms of tokens to `gates[N, G·H]`: of input 0, which is all of an embedding, by the weight that is input 1.
    fn input_terms(&mut self, table: StoredWeight<'_>, ids: &[u32], gates: &mut [E]) {
        let (weight, config, input, width) = (self.weight(1), self.gemm_config(), self.shape(0)[1], self.shape(1)[0]);
        let known = self.known_terms();
        let is_missing = |id: &u32| known.is_none_or(|known| known.get(*id).is_none());
        let mut missing: Vec<u32> = ids.iter().copied().filter(is_missing).collect();
        missing.sort_unstable();
        missing.dedup();
        let n = missing.len();
        let (mut x, mut terms) = (self.scratch(n * input), self.scratch(n * width));
        if n > 0 {
            x.chunks_exact_mut(input.max(1)).zip(&missing).for_each(|(x, &id)| table.read_row(id as usize, x));
            let mut transposed = self.scratch(if let Weight::RowMajor(w) = weight { w.len() } else { 0 });
            weight.gemm(Mat::new(&x, n, input), MatMut::new(&mut terms, n, width), &mut transposed, config);
            self.recycle(transposed);
            if let (Some(known), Some(terms)) = (known, E::as_f32(&terms)) {
                missing.iter().zip(terms.chunks_exact(width.max(1))).for_each(|(&id, terms)| known.keep(id, terms));
            }
        }
        let of_token = |id: u32, gates: &mut [E]| match (known.and_then(|known| known.get(id)), E::as_f32_mut(gates)) {
            (Some(terms), Some(gates)) => gates.copy_from_slice(terms),
            _ => {
                let place = missing.partition_point(|&other| other < id) * width;
                gates.copy_from_slice(&terms[place..][..width]);
            }
        };
        run_on_rows(gates, width, config.pass_threads(gates.len()), |first, gates| {
            gates.chunks_exact_mut(width.max(1)).zip(&ids[first..]).for_each(|(gates, &id)| of_token(id, gates));
        });
        self.recycle(x);
        self.recycle(terms);
    }

    /// The terms of inputs 0 and 1; none where these are not whole parameters that inference stores.
    fn known_terms(&self) -> Option<&'a InputTerms> {
        let [embedding, weight] = [0, 1].map(|i| {
            let node = &self.nodes[self.inputs[i] as usize];
            let id = self.nodes[node.root as usize].parameter?;
            (self.parameters.shape(id) == node.shape).then_some(id)
        });
        let (embedding, weight) = (embedding?, weight?);
        let terms = &self.parameters.entry(weight).storage.derived()?.input_terms;
        let terms = terms.get_or_init(|| InputTerms::new(embedding.0, self.parameters.shape(embedding)[0]));
        (terms.embedding == embedding.0).then_some(terms)
    }
}
