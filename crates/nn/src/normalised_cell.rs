//! LSTM and GRU with layer normalisation (Ba et al. 2016, arXiv 1607.06450):
//!
//! ```text
//! LSTM:  i, f, g, o = split(LN(x Wᵢₕᵀ) + LN(h Wₕₕᵀ))    c' = σ(f) c + σ(i) tanh(g)    h' = σ(o) tanh LN(c')
//! GRU:   r, z = σ(split(LN(x Wᵢₕᵀ) + LN(h Wₕₕᵀ)))    n = tanh(LN(x Wᵢₙᵀ) + r LN(h Wₕₙᵀ))    h' = (1 - z) n + z h
//! ```
//!
//! The gates that one `split` gives are normalised together. The layer's biases are those of the norms. The loop over time is one of
//! primitive operations: what lies between the GEMMs is small beside them.

use crate::cell::{Cell, RecurrentState};
use crate::{Init, Scope};
use descant_autograd::{Activation, PackedSequences, ParameterId, Var};
use descant_tensor::Tensor;

const EPSILON: f64 = 1e-5;

/// The norms of a layer in one direction: factors `[G·H]` of the input terms and the recurrent terms; and of an LSTM's cell state factors and
/// biases, `[H]`.
#[derive(Clone, Debug)]
pub(crate) struct CellNorms {
    input: ParameterId,
    recurrent: ParameterId,
    cell: Option<[ParameterId; 2]>,
}

impl CellNorms {
    /// Factors of ones, under names that end with `suffix`.
    pub(crate) fn new(scope: &mut Scope<'_>, cell: Cell, hidden: usize, suffix: &str) -> Self {
        let mut add = |name: &str, width: usize, init| scope.parameter(&format!("{name}{suffix}"), [width], init);
        Self {
            input: add("norm_ih", cell.gates() * hidden, Init::Ones),
            recurrent: add("norm_hh", cell.gates() * hidden, Init::Ones),
            cell: (cell == Cell::Lstm)
                .then(|| [add("norm_cell", hidden, Init::Ones), add("norm_cell_bias", hidden, Init::Zeros)]),
        }
    }

    /// A layer in one direction, as [`Var::lstm`] and [`Var::gru`]: the hidden states of all tokens, and the last state.
    #[track_caller]
    pub(crate) fn forward<'t>(
        &self,
        x: Var<'t>,
        [w_ih, w_hh, b_ih, b_hh]: &[Var<'t>; 4],
        initial: Option<RecurrentState<'t>>,
        mask: Option<Var<'t>>,
        layout: &PackedSequences,
        reverse: bool,
    ) -> (Var<'t>, RecurrentState<'t>) {
        let (graph, width, sequences) = (x.graph(), w_hh.shape().last(), layout.sequences());
        let [input_norm, recurrent_norm] = [self.input, self.recurrent].map(|id| graph.parameter(id));
        let cell_norm = self.cell.map(|ids| ids.map(|id| graph.parameter(id)));
        // Of a GRU, the candidate's terms apart from those of the gates.
        let groups: &[(usize, usize)] = if cell_norm.is_some() { &[(0, 4)] } else { &[(0, 2), (2, 3)] };
        let terms = |x: Var<'t>, weight: Var<'t>, norm: Var<'t>, bias: Var<'t>| -> Vec<Var<'t>> {
            let all = x.linear(weight, None, Activation::Identity);
            let group = |&(start, end): &(usize, usize)| {
                let (start, end) = (start * width, end * width);
                all.slice_last(start, end).layer_norm(norm.slice(start, end), bias.slice(start, end), EPSILON)
            };
            groups.iter().map(group).collect()
        };
        let of_inputs = terms(x, *w_ih, input_norm, *b_ih);
        let zeros = || graph.constant(&Tensor::zeros(graph.dtype(), [sequences, width]));
        let mut state =
            initial.unwrap_or_else(|| RecurrentState { hidden: zeros(), cell: cell_norm.is_some().then(zeros) });
        let mut outputs = vec![None; layout.steps()];
        for step in 0..layout.steps() {
            let t = if reverse { layout.steps() - 1 - step } else { step };
            let (rows, n) = (layout.rows(t), layout.active(t));
            let before = state.hidden.slice(0, n);
            let masked = mask.map_or(before, |mask| before * mask.slice(0, n));
            let recurrent = terms(masked, *w_hh, recurrent_norm, *b_hh);
            let inputs: Vec<Var<'t>> = of_inputs.iter().map(|of| of.slice(rows.start, rows.end)).collect();
            let gates = inputs[0] + recurrent[0];
            let gate = |i: usize| gates.slice_last(i * width, (i + 1) * width);
            let (hidden, cell) = match (state.cell, cell_norm) {
                (Some(cell), Some([weight, bias])) => {
                    let cell = gate(1).sigmoid() * cell.slice(0, n) + gate(0).sigmoid() * gate(2).tanh();
                    (gate(3).sigmoid() * cell.layer_norm(weight, bias, EPSILON).tanh(), Some(cell))
                }
                _ => {
                    let candidate = (inputs[1] + gate(0).sigmoid() * recurrent[1]).tanh();
                    (candidate + gate(1).sigmoid() * (before - candidate), None)
                }
            };
            outputs[t] = Some(hidden);
            // Sequences that have ended, or not begun, keep their state.
            let with_others = |new: Var<'t>, old: Var<'t>| match n == sequences {
                true => new,
                false => graph.concat(&[new, old.slice(n, sequences)]),
            };
            state = RecurrentState {
                hidden: with_others(hidden, state.hidden),
                cell: cell.zip(state.cell).map(|(new, old)| with_others(new, old)),
            };
        }
        let outputs: Vec<Var<'t>> = outputs.into_iter().flatten().collect();
        match outputs.as_slice() {
            [] => (of_inputs[0].slice_last(0, width), state),
            [only] => (*only, state),
            all => (graph.concat(all), state),
        }
    }
}
