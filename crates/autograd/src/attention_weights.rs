//! The attention weights of a pass, to look at: nothing else keeps them.

use crate::any_op::AnyOp;
use crate::graph::Graph;
use crate::node::value;
use crate::parameters::Parameters;
use crate::recording::Recording;
use crate::sequences::Segments;
use descant_kernels::Real;
use descant_tensor::{DType, Error, Result};
use std::panic::Location;

/// The weights with which the decoder's tokens of a sequence attend to its source, the mean over the heads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttentionWeights {
    /// A row for each token.
    pub rows: Vec<Vec<f64>>,
}

impl Graph<'_> {
    /// The weights of every cross-attention of this pass, layer by layer, for each sequence; of so many heads alone, from the first on, where a number is given. A pass without gradients has
    /// released what they are computed from.
    ///
    /// # Errors
    /// The first failure of the pass; [`Error::DroppedActivation`].
    #[track_caller]
    pub fn cross_attention_weights(self, heads: Option<usize>) -> Result<Vec<Vec<AttentionWeights>>> {
        self.check()?;
        match self.dtype() {
            DType::F32 => self.all_layers::<f32>(heads, Location::caller()),
            DType::F64 => self.all_layers::<f64>(heads, Location::caller()),
        }
    }

    /// Lets a pass without gradients keep what [`Graph::last_cross_attention`] reads: the queries of each cross-attention.
    pub fn keep_queries(self) {
        self.recording.borrow_mut().mode.keeps_queries = true;
    }

    /// The weights of the last cross-attention of a pass that [keeps its queries](Graph::keep_queries), for each row of the hidden
    /// states. The order of summation depends on the row's own keys alone, as that of attention in inference.
    ///
    /// # Errors
    /// The first failure of the pass; [`Error::DroppedActivation`] where queries were not kept.
    #[track_caller]
    pub fn last_cross_attention(self) -> Result<Vec<Vec<f64>>> {
        self.check()?;
        match self.dtype() {
            DType::F32 => self.last_layer::<f32>(Location::caller()),
            DType::F64 => self.last_layer::<f64>(Location::caller()),
        }
    }

    fn all_layers<E: Real>(
        self,
        heads: Option<usize>,
        location: &'static Location<'static>,
    ) -> Result<Vec<Vec<AttentionWeights>>> {
        let recording = self.recording.borrow();
        let (mut layers, mut recurrent) = (Vec::new(), Vec::<AttentionWeights>::new());
        for id in 0..recording.nodes.len() {
            let Some(found) = CrossAttention::of::<E>(&recording, self.parameters, (id, heads), location)? else {
                continue;
            };
            match found.is_step {
                true => append(&mut recurrent, found.of_sequences()),
                false => layers.push(found.of_sequences()),
            }
        }
        layers.extend((!recurrent.is_empty()).then_some(recurrent));
        Ok(layers)
    }

    fn last_layer<E: Real>(self, location: &'static Location<'static>) -> Result<Vec<Vec<f64>>> {
        let (recording, mut steps) = (self.recording.borrow(), Vec::new());
        for id in (0..recording.nodes.len()).rev() {
            match CrossAttention::of::<E>(&recording, self.parameters, (id, None), location)? {
                Some(found) if found.is_step => steps.push(found.rows),
                Some(found) => return Ok(found.rows),
                None => {}
            }
        }
        Ok(steps.into_iter().rev().flatten().collect())
    }
}

/// The weights of a cross-attention.
struct CrossAttention<'a> {
    /// Of each query.
    rows: Vec<Vec<f64>>,
    /// The queries of each sequence.
    queries: &'a Segments,
    /// Whether it is that of a recurrent decoder: with input feeding, each step is an attention of its own.
    is_step: bool,
}

impl<'a> CrossAttention<'a> {
    /// That of a node, if it is one; of so many of its heads.
    fn of<E: Real>(
        recording: &'a Recording,
        parameters: &Parameters,
        (id, heads): (usize, Option<usize>),
        location: &'static Location<'static>,
    ) -> Result<Option<Self>> {
        let (nodes, node) = (&recording.nodes, &recording.nodes[id]);
        let Some(op) = recording.ops[id].as_ref().filter(|op| op.is_cross_attention()) else { return Ok(None) };
        let is_dropped = |&id: &u32| nodes[nodes[id as usize].root as usize].is_dropped();
        if node.inputs.iter().any(is_dropped) {
            return Err(Error::DroppedActivation { op: node.name, location });
        }
        let input = |i: usize| value::<E>(nodes, parameters, node.inputs[i]);
        let shape = |i: usize| nodes[node.inputs[i] as usize].shape;
        let (rows, queries) = match op {
            AnyOp::MultiHeadAttention(op) => {
                (op.weights((input(0), shape(0)), (input(1), shape(1).last()), heads), op.queries())
            }
            AnyOp::DotAttention(op) => (op.weights((input(0), shape(0)), input(1), 1), op.queries()),
            AnyOp::AdditiveAttention(op) => (op.weights((input(0), shape(0)), input(1), input(2), 1), op.queries()),
            _ => return Ok(None),
        };
        Ok(Some(Self { rows, queries, is_step: !matches!(op, AnyOp::MultiHeadAttention(_)) }))
    }

    fn of_sequences(mut self) -> Vec<AttentionWeights> {
        let mut of = |i: usize| self.queries.rows(i).iter().map(|&row| std::mem::take(&mut self.rows[row])).collect();
        (0..self.queries.len()).map(|i| AttentionWeights { rows: of(i) }).collect()
    }
}

impl AnyOp {
    /// Whether it attends to other rows than the queries' own.
    pub(crate) fn is_cross_attention(&self) -> bool {
        match self {
            Self::MultiHeadAttention(op) => op.is_cross_attention(),
            Self::DotAttention(_) | Self::AdditiveAttention(_) => true,
            _ => false,
        }
    }
}

fn append(all: &mut Vec<AttentionWeights>, more: Vec<AttentionWeights>) {
    all.resize(all.len().max(more.len()), AttentionWeights::default());
    all.iter_mut().zip(more).for_each(|(all, more)| all.rows.extend(more.rows));
}

/// For each of so many queries, the softmax of its scores over the memory of its sequence, the mean over the heads; of every `every`th
/// query alone, the others have none. `score(head, query, memory, scores)` writes the scores of the rows `memory`.
pub(crate) fn weights(
    count: usize,
    (queries, memory): (&Segments, &Segments),
    heads: usize,
    every: usize,
    mut score: impl FnMut(usize, usize, &[usize], &mut [f64]),
) -> Vec<Vec<f64>> {
    let (mut all, mut scores, mut place) = (vec![Vec::new(); count], Vec::new(), 0);
    for i in 0..queries.len() {
        let memory = memory.rows(i);
        scores.resize(memory.len(), 0.0);
        for &query in queries.rows(i) {
            place += 1;
            if (place - 1) % every != 0 {
                continue;
            }
            let mut mean = vec![0.0; memory.len()];
            for head in 0..heads {
                score(head, query, memory, &mut scores);
                softmax(&mut scores);
                mean.iter_mut().zip(&scores).for_each(|(mean, weight)| *mean += weight / heads as f64);
            }
            all[query] = mean;
        }
    }
    all
}

/// The weights of one query from its scores.
pub(crate) fn softmax(scores: &mut [f64]) {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
    let total: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= total);
}

#[cfg(test)]
mod tests {
    use crate::{AttentionConfig, AttentionOperand, Graph, Parameters, PositionBias, Segments, Tape, Var};
    use descant_kernels::Parallelism;
    use descant_tensor::{DType, Error, Tensor};
    use std::sync::Arc;

    /// Numbers without a pattern.
    fn numbers(count: usize) -> Vec<f64> {
        (0..count).map(|i| ((i * 37 % 23) as f64 - 11.0) / 7.0).collect()
    }

    /// With an identity as values, the context is the weights.
    fn identity(graph: Graph<'_>, rows: usize) -> Var<'_> {
        let values: Vec<f64> = (0..rows * rows).map(|i| f64::from(i % (rows + 1) == 0)).collect();
        graph.constant(&Tensor::new([rows, rows], &values).unwrap())
    }

    #[test]
    fn the_weights_are_those_of_the_contexts() {
        let parameters = Parameters::new(DType::F64);
        let joined = |lengths: &[usize]| Arc::new(Segments::joined(lengths));
        let (queries, memory) = (joined(&[2, 3]), joined(&[4, 2]));
        let mut tape = Tape::new();
        let graph = tape.differentiate(&parameters);
        let constant = |rows: usize, columns: usize| {
            graph.constant(&Tensor::new([rows, columns], &numbers(rows * columns)).unwrap())
        };
        let (q, k, w) = (constant(5, 3), constant(6, 3), constant(1, 3).reshape([3]));
        let dot = q.dot_attention(k, identity(graph, 6), &queries, &memory, 0.7);
        let found = graph.cross_attention_weights(None).unwrap();
        assert_eq!((found.len(), found[0].len()), (1, 2));
        let check = |found: &[super::AttentionWeights], contexts: Vec<f64>| {
            for (i, of) in found.iter().enumerate() {
                for (&query, row) in queries.rows(i).iter().zip(&of.rows) {
                    assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                    for (&key, weight) in memory.rows(i).iter().zip(row) {
                        assert!((contexts[query * 6 + key] - weight).abs() < 1e-12, "{query} {key}");
                    }
                }
            }
        };
        check(&found[0], dot.value().unwrap().to_f64());
        let additive = q.additive_attention(k, w, identity(graph, 6), &queries, &memory);
        let mut both = graph.cross_attention_weights(None).unwrap();
        // The second attention's rows follow those of the first, as the steps of input feeding do.
        both[0].iter_mut().zip(&found[0]).for_each(|(both, first)| drop(both.rows.drain(..first.rows.len())));
        check(&both[0], additive.value().unwrap().to_f64());
        let heads = AttentionConfig {
            heads: 1,
            kv_heads: 1,
            head_dim: 6,
            scale: 0.4,
            causal: false,
            window: None,
            bias: PositionBias::None,
            soft_cap: Some(2.0),
            dropout: 0.0,
        };
        let wide = |rows| AttentionOperand { x: constant(rows, 6), column: 0 };
        let values = AttentionOperand { x: identity(graph, 6), column: 0 };
        let many = graph.multi_head_attention(heads, [wide(5), wide(6), values], None, &queries, &memory);
        let layers = graph.cross_attention_weights(None).unwrap();
        check(&layers[0], many.value().unwrap().to_f64());
    }

    #[test]
    fn a_pass_without_gradients_keeps_queries_where_it_is_to() {
        let parameters = Parameters::new(DType::F32);
        let (queries, memory) = (Arc::new(Segments::joined(&[2, 1])), Arc::new(Segments::joined(&[3, 2])));
        let tensor = |rows: usize| Tensor::new([rows, 4], &numbers(rows * 4)).unwrap().cast(DType::F32);
        let heads = AttentionConfig {
            heads: 2,
            kv_heads: 2,
            head_dim: 2,
            scale: 0.7,
            causal: false,
            window: None,
            bias: PositionBias::None,
            soft_cap: None,
            dropout: 0.0,
        };
        // Two layers, of which the second attends in another way.
        let layers = |graph: Graph<'_>, releases: bool| {
            let keys = graph.constant(&tensor(5));
            let attention = |q: f64| {
                let layer = || {
                    let q = AttentionOperand { x: graph.constant(&tensor(3)).scale(q), column: 0 };
                    let kv = AttentionOperand { x: keys, column: 0 };
                    graph.multi_head_attention(heads.clone(), [q, kv, kv], None, &queries, &memory).tanh()
                };
                if releases { graph.rematerialize(layer) } else { layer() }
            };
            (attention(1.0) + attention(-0.5)).value().unwrap()
        };
        let mut tape = Tape::new();
        let graph = tape.infer(&parameters, Parallelism::Serial);
        let plain = layers(graph, true);
        assert!(matches!(graph.last_cross_attention(), Err(Error::DroppedActivation { .. })));
        let graph = tape.infer(&parameters, Parallelism::Serial);
        graph.keep_queries();
        assert_eq!(layers(graph, true).to_f64(), plain.to_f64());
        let found = graph.last_cross_attention().unwrap();
        let graph = tape.differentiate(&parameters);
        layers(graph, false);
        let all = graph.cross_attention_weights(None).unwrap();
        let rows = |layer: usize| all[layer].iter().flat_map(|of| of.rows.clone()).collect::<Vec<_>>();
        assert!(found == rows(1) && found != rows(0), "{found:?} {all:?}");
    }
}
