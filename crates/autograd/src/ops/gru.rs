//! A whole GRU layer over a ragged batch, in one direction (Cho et al. 2014, arXiv 1406.1078), with PyTorch's
//! parameters, gate order and reset gate:
//!
//! ```text
//! r, z = σ(split(x Wᵢₕᵀ + bᵢₕ + h Wₕₕᵀ + bₕₕ))
//! n = tanh(x Wᵢₙᵀ + bᵢₙ + r (h Wₕₙᵀ + bₕₙ))      h' = (1 - z) n + z h
//! ```
//!
//! As in `lstm.rs`, only the recurrent GEMM runs step by step, and inputs that tokens share are multiplied once.

use super::recurrent::{BackwardCell, ForwardCell, Recurrent, Sizes, add_initial_gradient, copy_initial, mask};
use crate::{Backward, Case, Forward, GradCheck, Graph, Op, PackedSequences, Var};
use descant_kernels::{GemmConfig, Mat, PackedB, Real, gru_cell};
use descant_tensor::{Shape, Tensor};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;

/// Three gates, an initial state `h0[B, H]`, and one last state. The recurrent terms are kept apart from the input terms, as the
/// reset gate multiplies those of the candidate.
#[derive(Debug)]
pub struct Gru(Recurrent);

struct CellForward<'a, E> {
    bias_ih: &'a [E],
    bias_hh: &'a [E],
    before: &'a mut [E],
    config: GemmConfig,
}

impl<E: Real> ForwardCell<E> for CellForward<'_, E> {
    fn step(&mut self, gates: &mut [E], recurrent: &mut [E], span: Range<usize>, hidden: &mut [E]) {
        let (hidden_before, threads) = (&mut self.before[span], self.config.pass_threads(gates.len()));
        gru_cell::Forward { gates, recurrent, bias_ih: self.bias_ih, bias_hh: self.bias_hh, hidden, hidden_before }
            .run(threads);
    }
}

struct CellBackward<'a, E> {
    width: usize,
    before: &'a [E],
    dy: &'a [E],
}

impl<E: Real> BackwardCell<E> for CellBackward<'_, E> {
    fn step(&mut self, gates: &mut [E], recurrent: &mut [E], span: Range<usize>, dhidden: &mut [E]) {
        let (hidden_before, dy) = (&self.before[span.clone()], &self.dy[span]);
        gru_cell::Backward { gates, recurrent, hidden_before, dy, dhidden }.run(self.width);
    }
}

impl Gru {
    /// Whether its inputs are rows of input 0 by token.
    pub(crate) fn reads_tokens(&self) -> bool {
        self.0.rows.is_some()
    }

    /// The rows of its hidden states, before those of the last ones.
    pub(crate) fn tokens(&self) -> usize {
        self.0.layout.tokens()
    }
}

impl Op for Gru {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.0.shape(inputs, 3, 1)
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (w_ih, w_hh, config) = (ctx.shape(1), ctx.weight(2), ctx.gemm_config());
        let (bias_ih, bias_hh) = (ctx.input(3), ctx.input(4));
        let Sizes { hidden, tokens, sequences, .. } = self.0.sizes(|i| ctx.shape(i));
        let initial = self.0.has_initial.then(|| ctx.input(5));
        let mut masked = self.0.mask(ctx);

        let mut gates = ctx.scratch(tokens * 3 * hidden);
        let mut recurrent = ctx.scratch(tokens * 3 * hidden);
        let mut before = ctx.scratch(tokens * hidden);
        let (packed, padded) = PackedB::<E>::scratch(hidden, 3 * hidden, sequences, config);
        let (mut packed_scratch, mut padded) = (ctx.scratch(packed.max(w_ih.len())), ctx.scratch(padded));
        self.0.input_terms(ctx, &mut gates, &mut packed_scratch);
        let w_hh = w_hh.packed([3 * hidden, hidden], &mut packed_scratch[..packed], config);

        let states = ctx.output().split_at_mut(tokens * hidden);
        copy_initial(initial, states.1);
        let mut cell = CellForward { bias_ih, bias_hh, before: &mut before, config };
        self.0.forward(&w_hh, (&mut gates, &mut recurrent), states, &mut masked, &mut padded, &mut cell);
        for scratch in [packed_scratch, padded, before].into_iter().chain(masked.map(|(_, scratch)| scratch)) {
            ctx.recycle(scratch);
        }
        ctx.save(gates);
        ctx.save(recurrent);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (w_hh, config) = (ctx.input(2), ctx.gemm_config());
        let Sizes { hidden, tokens, sequences, .. } = self.0.sizes(|i| ctx.shape(i));
        let (output, (dy, dlast)) = (ctx.output(), ctx.dy().split_at(tokens * hidden));
        let initial = self.0.has_initial.then(|| ctx.input(5));
        let mask = self.0.has_mask.then(|| ctx.input(ctx.inputs() - 1));
        let mut masked = mask.map(|mask| (mask, ctx.scratch(mask.len())));

        let mut gates = ctx.take_saved(0, tokens * 3 * hidden);
        let mut recurrent = ctx.take_saved(1, tokens * 3 * hidden);
        let mut before = ctx.scratch(tokens * hidden);
        self.0.hidden_before(output, initial, hidden, &mut before);
        let mut dhidden = ctx.scratch(sequences * hidden);
        dhidden.copy_from_slice(dlast);

        let (packed, padded) = PackedB::<E>::scratch(3 * hidden, hidden, sequences, config);
        let (mut packed, mut padded) = (ctx.scratch(packed), ctx.scratch(padded));
        let w_hh = PackedB::new(Mat::new(w_hh, 3 * hidden, hidden), &mut packed, config);
        let mut cell = CellBackward { width: hidden, before: &before, dy };
        let dh = (&mut *dhidden, E::one());
        self.0.backward(&w_hh, (&mut gates, &mut recurrent), dh, &mut masked, &mut padded, &mut cell);

        self.0.apply_mask(&masked, hidden, &mut before);
        self.0.input_gradients(ctx, &gates, Some(&recurrent), Some(&before));
        if self.0.has_initial {
            add_initial_gradient(ctx, 5, &dhidden);
        }
        let scratch = [gates, recurrent, before, dhidden, packed, padded];
        for scratch in scratch.into_iter().chain(masked.map(|(_, scratch)| scratch)) {
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
            Case::new("ragged", shapes, move |_, x| {
                x[0].gru(None, &[x[1], x[2], x[3], x[4]], None, None, &layout(), false)
            })
            .reference(move |graph, x| reference(graph, x, None, None, &layout(), false)),
            Case::new("reverse", shapes, move |_, x| {
                x[0].gru(None, &[x[1], x[2], x[3], x[4]], None, None, &layout(), true)
            })
            .reference(move |graph, x| reference(graph, x, None, None, &layout(), true)),
            Case::new("with initial state", with_state, move |_, x| {
                x[0].gru(None, &[x[1], x[2], x[3], x[4]], Some(x[5]), None, &layout(), false)
            })
            .reference(move |graph, x| reference(graph, x, Some(x[5]), None, &layout(), false)),
            Case::new("reverse with initial state", with_state, move |_, x| {
                x[0].gru(None, &[x[1], x[2], x[3], x[4]], Some(x[5]), None, &layout(), true)
            })
            .reference(move |graph, x| reference(graph, x, Some(x[5]), None, &layout(), true)),
            Case::new("with a mask", with_state, move |graph, x| {
                x[0].gru(None, &[x[1], x[2], x[3], x[4]], Some(x[5]), Some(mask(graph)), &layout(), false)
            })
            .reference(move |graph, x| reference(graph, x, Some(x[5]), Some(mask(graph)), &layout(), false)),
            Case::new("reverse with a mask", shapes, move |graph, x| {
                x[0].gru(None, &[x[1], x[2], x[3], x[4]], None, Some(mask(graph)), &layout(), true)
            })
            .reference(move |graph, x| reference(graph, x, None, Some(mask(graph)), &layout(), true)),
            Case::new("inputs that tokens share", &[&[2, 2], &[9, 2], &[9, 3], &[9], &[9]], move |_, x| {
                x[0].gru(Some(&shared()), &[x[1], x[2], x[3], x[4]], None, None, &layout(), false)
            })
            .reference(move |graph, x| {
                let each = [x[0].gather(&shared()), x[1], x[2], x[3], x[4]];
                reference(graph, &each, None, None, &layout(), false)
            }),
        ]
    }
}

/// The same layer in primitives, step by step.
fn reference<'t>(
    graph: Graph<'t>,
    x: &[Var<'t>],
    initial: Option<Var<'t>>,
    mask: Option<Var<'t>>,
    layout: &PackedSequences,
    reverse: bool,
) -> Var<'t> {
    let width = x[2].shape()[1];
    let zero = || graph.constant(&Tensor::zeros(graph.dtype(), [layout.sequences(), width]));
    let mut h = initial.unwrap_or_else(zero);
    let mut outputs = vec![None; layout.steps()];
    let layout_of = Arc::new(layout.clone());
    let times = Recurrent { rows: None, layout: layout_of, reverse, has_initial: false, has_mask: false }.times();
    for t in times {
        let rows = layout.rows(t);
        let (n, before) = (rows.len(), h.slice(0, rows.len()));
        let input = x[0].slice(rows.start, rows.end).matmul_t(x[1]) + x[3];
        let masked = mask.map_or(before, |mask| before * mask.slice(0, n));
        let product = masked.matmul_t(x[2]) + x[4];
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
    /// `rows[n]` of `x`. A `mask`, `[B, H]` in the order of the layout, multiplies the hidden state before each recurrent GEMM; it is a
    /// constant.
    #[track_caller]
    pub fn gru(
        self,
        rows: Option<&Arc<[u32]>>,
        weights: &[Self; 4],
        initial: Option<Self>,
        mask: Option<Self>,
        layout: &Arc<PackedSequences>,
        reverse: bool,
    ) -> Self {
        let (has_initial, has_mask) = (initial.is_some(), mask.is_some());
        let op = Gru(Recurrent { rows: rows.cloned(), layout: layout.clone(), reverse, has_initial, has_mask });
        let inputs: SmallVec<[Self; 8]> = [self].into_iter().chain(*weights).chain(initial).chain(mask).collect();
        self.graph().apply(op, &inputs)
    }
}
