//! How widely attention looks: the entropy of its weights.

use crate::any_op::AnyOp;
use crate::node::value;
use crate::parameters::Parameters;
use crate::recording::Recording;
use crate::sequences::Segments;
use descant_kernels::Real;

/// About how many queries are looked at in each attention of a pass.
const QUERIES: usize = 64;

/// The entropy of the weights over so many keys, as a share of the largest that it can be: 0 where one key has all the weight, 1 where all
/// have the same. None of a single key.
pub(crate) fn relative_entropy(weights: &[f64]) -> Option<f64> {
    let sum: f64 = weights.iter().filter(|&&weight| weight > 0.0).map(|weight| weight * weight.ln()).sum();
    (weights.len() > 1).then(|| (0.0 - sum) / (weights.len() as f64).ln())
}

/// The relative entropies of some of the queries of a node, head by head, if it is an attention whose queries and keys are not released.
pub(crate) fn entropies<E: Real>(recording: &Recording, parameters: &Parameters, id: usize) -> Vec<f64> {
    let (nodes, node) = (&recording.nodes, &recording.nodes[id]);
    if node.inputs.iter().any(|&id| nodes[nodes[id as usize].root as usize].is_dropped()) {
        return Vec::new();
    }
    let input = |i: usize| value::<E>(nodes, parameters, node.inputs[i]);
    let shape = |i: usize| nodes[node.inputs[i] as usize].shape;
    // Odd: at a distance that the length of a sequence is a multiple of, all would be at the same few places.
    let every = |queries: &Segments| (queries.tokens() / QUERIES) | 1;
    let weights = match &recording.ops[id] {
        Some(AnyOp::MultiHeadAttention(op)) => {
            let table = (node.inputs.len() > 3).then(|| input(3));
            let (q, k) = ((input(0), shape(0).last()), (input(1), shape(1).last()));
            return op.entropies(every(op.queries()), q, k, table);
        }
        Some(AnyOp::DotAttention(op)) => op.weights((input(0), shape(0)), input(1), every(op.queries())),
        Some(AnyOp::AdditiveAttention(op)) => op.weights((input(0), shape(0)), input(1), input(2), every(op.queries())),
        _ => return Vec::new(),
    };
    weights.iter().filter_map(|weights| relative_entropy(weights)).collect()
}

#[cfg(test)]
mod tests {
    use super::relative_entropy;
    use crate::{Activation, AttentionConfig, AttentionOperand, Parameters, PositionBias, Segments, Tape};
    use descant_tensor::{DType, Tensor};
    use std::sync::Arc;

    #[test]
    fn entropies_are_relative_to_that_of_equal_weights() {
        assert_eq!([&[1.0, 0.0, 0.0][..], &[0.25; 4], &[1.0]].map(relative_entropy), [Some(0.0), Some(1.0), None]);
        assert_eq!(relative_entropy(&[0.5, 0.5, 0.0, 0.0]), Some(0.5));
    }

    /// A kind of attention over one column.
    enum Kind {
        /// Of one head.
        Heads {
            causal: bool,
            bias: PositionBias,
        },
        Dot,
        Additive,
    }

    /// Whether the entropy at a linear layer that makes queries of ones is as expected, where the keys are these.
    #[track_caller]
    fn check(kind: Kind, keys: [f64; 4], expected: f64) {
        let mut parameters = Parameters::new(DType::F64);
        let weight = parameters.add_with("query.weight", [1, 2], &[1.0, 5.0]);
        let mut tape = Tape::new();
        let graph = tape.train(&parameters, 1);
        let ones = graph.constant(&Tensor::new([4, 1], &[1.0; 4]).unwrap());
        // What has no weight of its own stands between, and before it columns of a weight, as where queries and keys have one together.
        let weight = graph.parameter(weight).slice_last(0, 1);
        let q = ones.linear(weight, None, Activation::Identity).scale(1.0);
        let k = graph.constant(&Tensor::new([4, 1], &keys).unwrap());
        let rows = Arc::new(Segments::joined(&[4]));
        let memory = Arc::new(Segments::joined(&[4]));
        match kind {
            Kind::Heads { causal, bias } => {
                let (heads, kv_heads, head_dim, scale, dropout) = (1, 1, 1, 1.0, 0.5);
                let (window, soft_cap) = (None, None);
                let config =
                    AttentionConfig { heads, kv_heads, head_dim, scale, causal, window, bias, soft_cap, dropout };
                let of = |x| AttentionOperand { x, column: 0 };
                graph.multi_head_attention(config, [of(q), of(k), of(k)], None, &rows, &rows)
            }
            Kind::Dot => q.dot_attention(k, k, &rows, &memory, 1.0),
            Kind::Additive => {
                let w = graph.constant(&Tensor::new([1], &[90.0]).unwrap());
                q.additive_attention(k, w, k, &rows, &memory)
            }
        };
        let found = graph.layer_activations()["query.weight"].entropy.unwrap();
        assert!((f64::from(found) - expected).abs() < 1e-6, "{found} for {expected}");
    }

    #[test]
    fn the_layer_that_makes_queries_has_the_entropy_of_their_attention() {
        let (even, sharp) = ([0.0; 4], [0.0, 0.0, 90.0, 0.0]);
        // Weights of 1/8, 1/8, 1/4 and 1/2.
        let halves = [0.0, 0.0, 2_f64.ln(), 4_f64.ln()];
        for (keys, expected) in [(even, 1.0), (sharp, 0.0), (halves, 0.875)] {
            check(Kind::Heads { causal: false, bias: PositionBias::None }, keys, expected);
            check(Kind::Dot, keys, expected);
        }
        // A causal query sees the keys up to its own: 2, 3 and 4 of them, of which the third has all the weight once it is seen.
        check(Kind::Heads { causal: true, bias: PositionBias::None }, sharp, 1.0 / 3.0);
        let bias = PositionBias::Alibi(vec![90.0].into());
        check(Kind::Heads { causal: true, bias }, even, 0.0);
        check(Kind::Additive, even, 1.0);
        check(Kind::Additive, [-9.0, -9.0, 9.0, -9.0], 0.0);
    }
}
