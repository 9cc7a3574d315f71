//! A whole LSTM layer over a ragged batch, in one direction (Hochreiter & Schmidhuber 1997), with PyTorch's parameters
//! and gate order:
//!
//! ```text
//! i, f, g, o = split(x Wᵢₕᵀ + bᵢₕ + h Wₕₕᵀ + bₕₕ)
//! c' = σ(f) c + σ(i) tanh(g)      h' = σ(o) tanh c'
//! ```

use super::recurrent::{BackwardCell, ForwardCell, Recurrent, Sizes, add_initial_gradient, copy_initial, mask};
use crate::{Backward, Case, Forward, GradCheck, Graph, Op, PackedSequences, Var};
use descant_kernels::{GemmConfig, Mat, PackedB, Real, lstm_cell};
use descant_tensor::Shape;
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;

/// Four gates, initial states `h0[B, H]` and `c0[B, H]`, and two last states: the hidden and the cell state.
#[derive(Debug)]
pub struct Lstm(Recurrent);

struct CellForward<'a, E> {
    bias: &'a [E],
    cell: &'a mut [E],
    cell_before: &'a mut [E],
    tanh_cell: &'a mut [E],
    config: GemmConfig,
}

impl<E: Real> ForwardCell<E> for CellForward<'_, E> {
    fn step(&mut self, gates: &mut [E], _recurrent: &mut [E], span: Range<usize>, hidden: &mut [E]) {
        let threads = self.config.pass_threads(gates.len());
        lstm_cell::Forward {
            gates,
            bias: self.bias,
            cell: &mut self.cell[..hidden.len()],
            cell_before: &mut self.cell_before[span.clone()],
            tanh_cell: &mut self.tanh_cell[span],
            hidden,
        }
        .run(threads);
    }
}

struct CellBackward<'a, E> {
    width: usize,
    cell_before: &'a [E],
    tanh_cell: &'a [E],
    dy: &'a [E],
    dcell: &'a mut [E],
}

impl<E: Real> BackwardCell<E> for CellBackward<'_, E> {
    fn step(&mut self, gates: &mut [E], _recurrent: &mut [E], span: Range<usize>, dhidden: &mut [E]) {
        lstm_cell::Backward {
            gates,
            cell_before: &self.cell_before[span.clone()],
            tanh_cell: &self.tanh_cell[span.clone()],
            dy: &self.dy[span],
            dcell: &mut self.dcell[..dhidden.len()],
            dhidden,
        }
        .run(self.width);
    }
}

impl Lstm {
    /// Whether its inputs are rows of input 0 by token.
    pub(crate) fn reads_tokens(&self) -> bool {
        self.0.rows.is_some()
    }

    /// The rows of its hidden states, before those of the last ones.
    pub(crate) fn tokens(&self) -> usize {
        self.0.layout.tokens()
    }
}

impl Op for Lstm {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.0.shape(inputs, 4, 2)
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (w_ih, w_hh, config) = (ctx.shape(1), ctx.weight(2), ctx.gemm_config());
        let Sizes { hidden, tokens, sequences, .. } = self.0.sizes(|i| ctx.shape(i));
        let initial = self.0.has_initial.then(|| (ctx.input(5), ctx.input(6)));
        let mut masked = self.0.mask(ctx);

        let mut gates = ctx.scratch(tokens * 4 * hidden);
        let mut cell_before = ctx.scratch(tokens * hidden);
        let mut tanh_cell = ctx.scratch(tokens * hidden);
        let mut bias = ctx.scratch(4 * hidden);
        bias.iter_mut().zip(ctx.input(3)).zip(ctx.input(4)).for_each(|((b, &ih), &hh)| *b = ih + hh);
        let (packed, padded) = PackedB::<E>::scratch(hidden, 4 * hidden, sequences, config);
        let (mut packed_scratch, mut padded) = (ctx.scratch(packed.max(w_ih.len())), ctx.scratch(padded));
        self.0.input_terms(ctx, &mut gates, &mut packed_scratch);
        let w_hh = w_hh.packed([4 * hidden, hidden], &mut packed_scratch[..packed], config);

        // The running states are stored where the last ones belong in the output.
        let (states, last) = ctx.output().split_at_mut(tokens * hidden);
        let (last_hidden, last_cell) = last.split_at_mut(sequences * hidden);
        copy_initial(initial.map(|(h0, _)| h0), last_hidden);
        copy_initial(initial.map(|(_, c0)| c0), last_cell);
        let mut cell = CellForward {
            bias: &bias,
            cell: last_cell,
            cell_before: &mut cell_before,
            tanh_cell: &mut tanh_cell,
            config,
        };
        self.0.forward(&w_hh, (&mut gates, &mut []), (states, last_hidden), &mut masked, &mut padded, &mut cell);
        for scratch in [packed_scratch, padded, bias].into_iter().chain(masked.map(|(_, scratch)| scratch)) {
            ctx.recycle(scratch);
        }
        ctx.save(gates);
        ctx.save(cell_before);
        ctx.save(tanh_cell);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (w_hh, config) = (ctx.input(2), ctx.gemm_config());
        let Sizes { hidden, tokens, sequences, .. } = self.0.sizes(|i| ctx.shape(i));
        let (output, (dy, dlast)) = (ctx.output(), ctx.dy().split_at(tokens * hidden));
        let initial = self.0.has_initial.then(|| ctx.input(5));
        let mask = self.0.has_mask.then(|| ctx.input(ctx.inputs() - 1));
        let mut masked = mask.map(|mask| (mask, ctx.scratch(mask.len())));

        let mut gates = ctx.take_saved(0, tokens * 4 * hidden);
        let cell_before = ctx.take_saved(1, tokens * hidden);
        let tanh_cell = ctx.take_saved(2, tokens * hidden);
        let mut dhidden = ctx.scratch(sequences * hidden);
        let mut dcell = ctx.scratch(sequences * hidden);
        dhidden.copy_from_slice(&dlast[..sequences * hidden]);
        dcell.copy_from_slice(&dlast[sequences * hidden..]);

        let (packed, padded) = PackedB::<E>::scratch(4 * hidden, hidden, sequences, config);
        let (mut packed, mut padded) = (ctx.scratch(packed), ctx.scratch(padded));
        let w_hh = PackedB::new(Mat::new(w_hh, 4 * hidden, hidden), &mut packed, config);
        let mut cell =
            CellBackward { width: hidden, cell_before: &cell_before, tanh_cell: &tanh_cell, dy, dcell: &mut dcell };
        let dh = (&mut *dhidden, E::zero());
        self.0.backward(&w_hh, (&mut gates, &mut []), dh, &mut masked, &mut padded, &mut cell);

        let mut before = ctx.scratch(if ctx.needs(2) { tokens * hidden } else { 0 });
        if ctx.needs(2) {
            self.0.hidden_before(output, initial, hidden, &mut before);
            self.0.apply_mask(&masked, hidden, &mut before);
        }
        let known = ctx.needs(2).then_some(&*before);
        self.0.input_gradients(ctx, &gates, None, known);
        if self.0.has_initial {
            add_initial_gradient(ctx, 5, &dhidden);
            add_initial_gradient(ctx, 6, &dcell);
        }
        let scratch = [gates, cell_before, tanh_cell, dhidden, dcell, packed, padded, before];
        for scratch in scratch.into_iter().chain(masked.map(|(_, scratch)| scratch)) {
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
            Case::new("ragged", shapes, move |_, x| x[0].lstm(None, &weights(x), None, None, &layout(), false))
                .reference(move |graph, x| reference(graph, x, None, None, &layout(), false)),
            Case::new("reverse", shapes, move |_, x| x[0].lstm(None, &weights(x), None, None, &layout(), true))
                .reference(move |graph, x| reference(graph, x, None, None, &layout(), true)),
            Case::new("with initial state", with_state, move |_, x| {
                x[0].lstm(None, &weights(x), Some((x[5], x[6])), None, &layout(), false)
            })
            .reference(move |graph, x| reference(graph, x, Some((x[5], x[6])), None, &layout(), false)),
            Case::new("reverse with initial state", with_state, move |_, x| {
                x[0].lstm(None, &weights(x), Some((x[5], x[6])), None, &layout(), true)
            })
            .reference(move |graph, x| reference(graph, x, Some((x[5], x[6])), None, &layout(), true)),
            Case::new("with a mask", with_state, move |graph, x| {
                x[0].lstm(None, &weights(x), Some((x[5], x[6])), Some(mask(graph)), &layout(), false)
            })
            .reference(move |graph, x| reference(graph, x, Some((x[5], x[6])), Some(mask(graph)), &layout(), false)),
            Case::new("reverse with a mask", shapes, move |graph, x| {
                x[0].lstm(None, &weights(x), None, Some(mask(graph)), &layout(), true)
            })
            .reference(move |graph, x| reference(graph, x, None, Some(mask(graph)), &layout(), true)),
            Case::new("inputs that tokens share", &[&[2, 2], &[12, 2], &[12, 3], &[12], &[12]], move |_, x| {
                x[0].lstm(Some(&shared()), &weights(x), None, None, &layout(), false)
            })
            .reference(move |graph, x| {
                let each = [x[0].gather(&shared()), x[1], x[2], x[3], x[4]];
                reference(graph, &each, None, None, &layout(), false)
            }),
        ]
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
    mask: Option<Var<'t>>,
    layout: &PackedSequences,
    reverse: bool,
) -> Var<'t> {
    let width = x[2].shape()[1];
    let zero = || graph.constant(&descant_tensor::Tensor::zeros(graph.dtype(), [layout.sequences(), width]));
    let (mut h, mut c) = initial.unwrap_or_else(|| (zero(), zero()));
    let mut outputs = vec![None; layout.steps()];
    let layout_of = Arc::new(layout.clone());
    let times = Recurrent { rows: None, layout: layout_of, reverse, has_initial: false, has_mask: false }.times();
    for t in times {
        let (n, all) = (layout.active(t), layout.sequences());
        let (h_t, c_t) = (mask.map_or(h, |mask| h * mask).slice(0, n), c.slice(0, n));
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
    /// `rows`, token `n` has row `rows[n]` of `x`. A `mask`, `[B, H]` in the order of the layout, multiplies the hidden state before each
    /// recurrent GEMM; it is a constant.
    #[track_caller]
    pub fn lstm(
        self,
        rows: Option<&Arc<[u32]>>,
        weights: &[Self; 4],
        initial: Option<(Self, Self)>,
        mask: Option<Self>,
        layout: &Arc<PackedSequences>,
        reverse: bool,
    ) -> Self {
        let (has_initial, has_mask) = (initial.is_some(), mask.is_some());
        let op = Lstm(Recurrent { rows: rows.cloned(), layout: layout.clone(), reverse, has_initial, has_mask });
        let states = initial.into_iter().flat_map(|(h0, c0)| [h0, c0]).chain(mask);
        let inputs: SmallVec<[Self; 8]> = [self].into_iter().chain(*weights).chain(states).collect();
        self.graph().apply(op, &inputs)
    }
}
