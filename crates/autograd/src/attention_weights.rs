//! The attention weights of a recorded pass, to look at: training keeps none of them.

use crate::any_op::AnyOp;
use crate::graph::Graph;
use crate::node::value;
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
    /// The weights of every cross-attention of this pass, layer by layer, for each sequence. A pass without gradients has
    /// released what they are computed from.
    ///
    /// # Errors
    /// The first failure of the pass; [`Error::DroppedActivation`].
    #[track_caller]
    pub fn cross_attention_weights(self) -> Result<Vec<Vec<AttentionWeights>>> {
        self.check()?;
        match self.dtype() {
            DType::F32 => self.collect::<f32>(Location::caller()),
            DType::F64 => self.collect::<f64>(Location::caller()),
        }
    }

    fn collect<E: Real>(self, location: &'static Location<'static>) -> Result<Vec<Vec<AttentionWeights>>> {
        let recording = self.recording.borrow();
        let (mut layers, mut recurrent) = (Vec::new(), Vec::<AttentionWeights>::new());
        for (node, op) in recording.nodes.iter().zip(&recording.ops) {
            let is_attention = match op {
                Some(AnyOp::MultiHeadAttention(op)) => op.is_cross_attention(),
                Some(AnyOp::DotAttention(_) | AnyOp::AdditiveAttention(_)) => true,
                _ => false,
            };
            if !is_attention {
                continue;
            }
            let is_dropped = |&id: &u32| recording.nodes[recording.nodes[id as usize].root as usize].is_dropped();
            if node.inputs.iter().any(is_dropped) {
                return Err(Error::DroppedActivation { op: node.name, location });
            }
            let input = |i: usize| value::<E>(&recording.nodes, self.parameters, node.inputs[i]);
            let width = |i: usize| recording.nodes[node.inputs[i] as usize].shape.last();
            match op {
                Some(AnyOp::MultiHeadAttention(op)) => {
                    layers.push(op.weights((input(0), width(0)), (input(1), width(1))));
                }
                // With input feeding, each step is an attention of its own.
                Some(AnyOp::DotAttention(op)) => append(&mut recurrent, op.weights(input(0), input(1), width(0))),
                Some(AnyOp::AdditiveAttention(op)) => {
                    append(&mut recurrent, op.weights(input(0), input(1), input(2)));
                }
                _ => {}
            }
        }
        layers.extend((!recurrent.is_empty()).then_some(recurrent));
        Ok(layers)
    }
}

fn append(all: &mut Vec<AttentionWeights>, more: Vec<AttentionWeights>) {
    all.resize(all.len().max(more.len()), AttentionWeights::default());
    all.iter_mut().zip(more).for_each(|(all, more)| all.rows.extend(more.rows));
}

/// The softmax of the scores of every query and row of memory, the mean over the heads.
pub(crate) fn weights(
    queries: &Segments,
    memory: &Segments,
    heads: usize,
    score: impl Fn(usize, usize, usize) -> f64,
) -> Vec<AttentionWeights> {
    let row = |query: usize, memory: &[usize]| {
        let mut mean = vec![0.0; memory.len()];
        for head in 0..heads {
            let scores: Vec<f64> = memory.iter().map(|&key| score(head, query, key)).collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
            let weights = scores.iter().map(|score| (score - largest).exp() / total / heads as f64);
            mean.iter_mut().zip(weights).for_each(|(mean, weight)| *mean += weight);
        }
        mean
    };
    let sequence =
        |i: usize| AttentionWeights { rows: queries.rows(i).iter().map(|&query| row(query, memory.rows(i))).collect() };
    (0..queries.len()).map(sequence).collect()
}

#[cfg(test)]
mod tests {
    use crate::{AttentionConfig, AttentionOperand, Graph, Parameters, PositionBias, Segments, Tape, Var};
    use descant_tensor::{DType, Tensor};
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
        let found = graph.cross_attention_weights().unwrap();
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
        let mut both = graph.cross_attention_weights().unwrap();
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
        let layers = graph.cross_attention_weights().unwrap();
        check(&layers[0], many.value().unwrap().to_f64());
    }
}
