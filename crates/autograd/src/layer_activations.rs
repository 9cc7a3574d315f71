//! The activations of the layers of a pass, to look at: how large they are, and which units can no longer learn.

use crate::any_op::AnyOp;
use crate::attention_entropy::entropies;
use crate::graph::Graph;
use crate::node::value;
use crate::parameters::{ParameterId, Parameters};
use crate::recording::Recording;
use descant_kernels::Real;
use descant_tensor::{Buffer, DType};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A gate is saturated within this of 0 or 1: its derivative is below a twenty-fifth of the largest.
const SATURATED: f64 = 0.01;

/// The activations of a layer in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LayerActivations {
    /// Rows that went through it: tokens.
    pub rows: usize,
    /// Root mean square of its outputs.
    pub scale: f32,
    /// The share of its units that are zero in every row; of layers with a ReLU alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<f32>,
    /// The share of its gates that are within 0.01 of 0 or 1, over all rows; of LSTM and GRU alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saturated: Option<f32>,
    /// Of a layer that makes the queries of an attention: the entropy of the attention's weights, as a share of the largest that it can be
    /// over the keys that a query sees; the mean over heads and about 64 of the queries (with input feeding, of each step's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy: Option<f32>,
    /// Of an embedding whose table is no other layer's weight: the share of the rows that were read whose gradient is zero. After backward alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_rows: Option<f32>,
}

/// Sums over all uses of a weight in a pass.
#[derive(Default)]
struct Sums {
    rows: usize,
    outputs: usize,
    squares: f64,
    /// Whether each unit was not zero somewhere; empty where there is no ReLU.
    is_alive: Vec<bool>,
    gates: usize,
    saturated: usize,
    /// Of each head and query.
    entropies: Vec<f64>,
}

impl Graph<'_> {
    /// The activations of each linear, LSTM and GRU layer and embedding by the name of its weight (`weight_hh` of the recurrent ones), as far
    /// as they are not released: before [`Graph::backward`], of a pass that records for it.
    pub fn layer_activations(self) -> BTreeMap<String, LayerActivations> {
        let recording = self.recording.borrow();
        let sums = match self.dtype() {
            DType::F32 => sums::<f32>(&recording, self.parameters),
            DType::F64 => sums::<f64>(&recording, self.parameters),
        };
        sums.into_iter().map(|(id, sums)| (self.parameters.name(id).to_owned(), sums.activations())).collect()
    }

    /// The rows of each table that were read, in ascending order; of those that are trained, and are no other layer's weight: every row of
    /// one that is tied to the output projection has a gradient.
    pub fn rows_read(self) -> BTreeMap<ParameterId, BTreeSet<u32>> {
        let (recording, mut read) = (self.recording.borrow(), BTreeMap::<_, BTreeSet<u32>>::new());
        let mut others = BTreeSet::new();
        for (node, op) in recording.nodes.iter().zip(&recording.ops) {
            match op {
                Some(AnyOp::Embedding(op)) => {
                    let table = parameter_of(&recording, node.inputs[0]);
                    if let Some(table) = table.filter(|&table| self.parameters.is_trainable(table)) {
                        read.entry(table).or_default().extend(op.ids());
                    }
                }
                Some(_) => others.extend(node.inputs.iter().filter_map(|&input| parameter_of(&recording, input))),
                None => {}
            }
        }
        read.retain(|table, _| !others.contains(table));
        read
    }
}

/// The parameter that a value is, or is columns of.
fn parameter_of(recording: &Recording, mut id: u32) -> Option<ParameterId> {
    loop {
        let root = recording.nodes[id as usize].root as usize;
        match &recording.ops[root] {
            Some(AnyOp::SliceLast(_)) => id = recording.nodes[root].inputs[0],
            _ => return recording.nodes[root].parameter,
        }
    }
}

/// The input of an operation that is a layer's weight, where it is one.
fn weight_of(op: &AnyOp) -> Option<usize> {
    match op {
        AnyOp::Embedding(_) => Some(0),
        AnyOp::Linear(_) | AnyOp::LoraLinear(_) => Some(1),
        AnyOp::Lstm(_) | AnyOp::Gru(_) => Some(2),
        _ => None,
    }
}

/// The weight of the layer that a value comes from, perhaps through operations that have none.
fn layer_of(recording: &Recording, mut id: u32) -> Option<ParameterId> {
    let nodes = &recording.nodes;
    loop {
        let root = nodes[id as usize].root as usize;
        let op = recording.ops[root].as_ref()?;
        let parameter = |i: usize| parameter_of(recording, nodes[root].inputs[i]);
        match (op, weight_of(op)) {
            (_, None) => {}
            // Rows of what is no table are gathered to put them in another order.
            (AnyOp::Embedding(_), Some(i)) if parameter(i).is_none() => {}
            (_, Some(i)) => return parameter(i),
        }
        id = *nodes[root].inputs.first()?;
    }
}

fn sums<E: Real>(recording: &Recording, parameters: &Parameters) -> BTreeMap<ParameterId, Sums> {
    let (nodes, mut layers) = (&recording.nodes, BTreeMap::<ParameterId, Sums>::new());
    for (id, node) in nodes.iter().enumerate() {
        let Some(op) = &recording.ops[id] else { continue };
        let found = entropies::<E>(recording, parameters, id);
        if !found.is_empty() {
            if let Some(layer) = layer_of(recording, node.inputs[0]) {
                layers.entry(layer).or_default().entropies.extend(found);
            }
            continue;
        }
        let Some(weight) = weight_of(op) else { continue };
        let Some(parameter) = parameter_of(recording, node.inputs[weight]) else { continue };
        if nodes[node.root as usize].is_dropped() {
            continue;
        }
        let (output, width) = (value::<E>(nodes, parameters, id as u32), node.shape.last());
        let sums = layers.entry(parameter).or_default();
        match op {
            AnyOp::Linear(op) => sums.add(output, width, op.is_relu()),
            AnyOp::LoraLinear(_) | AnyOp::Embedding(_) => sums.add(output, width, false),
            AnyOp::Lstm(op) => {
                sums.add(&output[..op.tokens() * width], width, false);
                sums.add_gates::<E>(&node.saved, op.tokens(), 4 * width, |row| [&row[..2 * width], &row[3 * width..]]);
            }
            AnyOp::Gru(op) => {
                sums.add(&output[..op.tokens() * width], width, false);
                sums.add_gates::<E>(&node.saved, op.tokens(), 3 * width, |row| [&row[..2 * width], &[]]);
            }
            _ => {}
        }
    }
    layers
}

impl Sums {
    fn add<E: Real>(&mut self, outputs: &[E], width: usize, is_relu: bool) {
        let number = |x: &E| x.to_f64().unwrap_or(f64::NAN);
        self.rows += outputs.len() / width.max(1);
        self.outputs += outputs.len();
        if is_relu {
            self.is_alive.resize(width, false);
        }
        for row in outputs.chunks_exact(width.max(1)) {
            self.squares += row.iter().map(|x| number(x).powi(2)).sum::<f64>();
            // Without a ReLU there is no list.
            self.is_alive.iter_mut().zip(row).for_each(|(alive, x)| *alive |= *x != E::zero());
        }
    }

    /// Takes the first buffer that a recurrent layer keeps: its gates, row by row. `of` is those with a sigmoid.
    fn add_gates<E: Real>(&mut self, saved: &[Buffer], rows: usize, width: usize, of: impl Fn(&[E]) -> [&[E]; 2]) {
        let (Some(gates), Some(low), Some(high)) = (saved.first(), E::from(SATURATED), E::from(1.0 - SATURATED)) else {
            return;
        };
        for row in E::slice(gates)[..rows * width].chunks_exact(width) {
            for gates in of(row) {
                self.gates += gates.len();
                self.saturated += gates.iter().filter(|&&gate| gate < low || gate > high).count();
            }
        }
    }

    fn activations(self) -> LayerActivations {
        let share = |part: usize, all: usize| (all > 0).then(|| part as f32 / all as f32);
        let mean = |all: &[f64]| (!all.is_empty()).then(|| (all.iter().sum::<f64>() / all.len() as f64) as f32);
        let dead = self.is_alive.iter().filter(|alive| !**alive).count();
        LayerActivations {
            rows: self.rows,
            scale: (self.squares / self.outputs.max(1) as f64).sqrt() as f32,
            dead: share(dead, self.is_alive.len()),
            saturated: share(self.saturated, self.gates),
            entropy: mean(&self.entropies),
            dead_rows: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Activation, PackedSequences, Parameters, Tape};
    use descant_tensor::{DType, Tensor};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    #[test]
    fn units_that_are_zero_everywhere_are_dead() {
        let mut parameters = Parameters::new(DType::F32);
        let weight = parameters.add_with("linear.weight", [3, 1], &[1.0, -1.0, 2.0]);
        let bias = parameters.add_with("linear.bias", [3], &[0.0, -1.0, 0.0]);
        let mut tape = Tape::new();
        let graph = tape.train(&parameters, 1);
        let x = graph.constant(&Tensor::new([2, 1], &[0.0, 3.0]).unwrap());
        let (weight, bias) = (graph.parameter(weight), graph.parameter(bias));
        x.linear(weight, Some(bias), Activation::Relu);
        let found = graph.layer_activations()["linear.weight"];
        assert_eq!((found.rows, found.dead, found.saturated), (2, Some(1.0 / 3.0), None));
        assert_eq!(found.scale, (45.0_f32 / 6.0).sqrt());
        // Another use of the weight, in which the unit is not zero.
        let below = graph.constant(&Tensor::new([1, 1], &[-2.0]).unwrap());
        below.linear(weight, Some(bias), Activation::Relu);
        assert_eq!(graph.layer_activations()["linear.weight"].dead, Some(0.0));
    }

    #[test]
    fn rows_are_read_of_tables_that_are_no_other_weight() {
        let mut parameters = Parameters::new(DType::F32);
        let [plain, tied] = ["plain.weight", "tied.weight"].map(|name| parameters.add(name, [5, 2]));
        let mut tape = Tape::new();
        let graph = tape.train(&parameters, 1);
        let [plain, tied] = [plain, tied].map(|id| graph.parameter(id));
        let ids: Arc<[u32]> = [3, 1, 3].into();
        plain.gather(&ids);
        tied.gather(&ids).linear(tied, None, Activation::Identity);
        let found = graph.rows_read();
        assert_eq!(found.into_values().collect::<Vec<_>>(), [BTreeSet::from([1, 3])]);
    }

    #[test]
    fn gates_are_saturated_near_0_and_1() {
        let layout = Arc::new(PackedSequences::new(&[2, 1]));
        for (gates, of) in [(4, [0, 1, 3]), (3, [0, 1, 1])] {
            let mut parameters = Parameters::new(DType::F64);
            // The first unit's gates with a sigmoid are at 1, the second's at 1/2. What has a tanh is at 1, and counts as none.
            let bias: Vec<f64> =
                (0..2 * gates).map(|i| if i % 2 == 0 || !of.contains(&(i / 2)) { 9.0 } else { 0.0 }).collect();
            let w_ih = parameters.add("rnn.weight_ih_l0", [2 * gates, 1]);
            let w_hh = parameters.add("rnn.weight_hh_l0", [2 * gates, 2]);
            let b_ih = parameters.add_with("rnn.bias_ih_l0", [2 * gates], &bias);
            let b_hh = parameters.add("rnn.bias_hh_l0", [2 * gates]);
            let mut tape = Tape::new();
            let graph = tape.train(&parameters, 1);
            let x = graph.constant(&Tensor::new([3, 1], &[0.0; 3]).unwrap());
            let weights = [w_ih, w_hh, b_ih, b_hh].map(|id| graph.parameter(id));
            match gates {
                4 => x.lstm(None, &weights, None, None, &layout, false),
                _ => x.gru(None, &weights, None, None, &layout, false),
            };
            let found = graph.layer_activations()["rnn.weight_hh_l0"];
            assert_eq!((found.rows, found.dead, found.saturated), (3, None, Some(0.5)), "{gates} gates");
        }
    }
}
