//! Guided alignment (Chen et al. 2016, arXiv 1607.01628): the cross entropy of alignments that are given and the weights of a cross-attention,
//!
//! ```text
//! L = -Σₜ wₜ Σₛ Aₜₛ log pₜₛ      Aₜₛ = 1 / (number of source tokens that t is aligned to), or 0
//! ```
//!
//! summed over the target tokens that are aligned to any. The weights are computed once more from the queries and keys of the pass: as contexts, where the value of
//! each row of the memory says which token of its source it is.

use crate::any_op::AnyOp;
use crate::graph::{Graph, Var};
use crate::node::Node;
use crate::ragged_attention::Ragged;
use descant_tensor::{Result, Tensor};
use std::ops::Range;

/// What is added to weights before their logarithm, so that it is finite.
const LEAST: f64 = 1e-12;

/// The links of a sequence: of a token of the source, and one of the target.
pub type Links = Vec<[u32; 2]>;

/// A cross-attention of a pass.
struct CrossAttention<'t> {
    score: Score<'t>,
    batch: Ragged,
    /// Whether it is that of a recurrent decoder, which may attend step by step.
    is_step: bool,
}

/// How its scores are computed.
enum Score<'t> {
    Dot { q: Var<'t>, k: Var<'t>, scale: f64 },
    Additive { q: Var<'t>, k: Var<'t>, w: Var<'t> },
}

impl<'t> CrossAttention<'t> {
    /// The weights of each query at the places of its own source, `[Nq, longest]`.
    #[track_caller]
    fn weights(&self, longest: usize) -> Var<'t> {
        let (Score::Dot { q, k, .. } | Score::Additive { q, k, .. }) = self.score;
        let rows = k.shape()[0];
        let mut places = vec![0.0; rows * longest];
        let Ragged { queries, memory } = &self.batch;
        for i in 0..memory.len() {
            memory.rows(i).iter().enumerate().for_each(|(place, &row)| places[row * longest + place] = 1.0);
        }
        let graph = q.graph();
        let values = match Tensor::new([rows, longest], &places) {
            Ok(places) => graph.constant(&places),
            Err(error) => return graph.fail("guided_alignment", error.to_string(), &[q, k]),
        };
        match self.score {
            Score::Dot { q, k, scale } => q.dot_attention(k, values, queries, memory, scale),
            Score::Additive { q, k, w } => q.additive_attention(k, w, values, queries, memory),
        }
    }
}

impl<'t> Graph<'t> {
    /// The summed guided alignment loss of a pass, where each sequence has these links and perhaps a weight: of a recurrent decoder's attention, or of the first
    /// head of the layer before the last of a Transformer, whose attention aligns best (Garg et al. 2019, arXiv 1909.02074).
    ///
    /// # Errors
    /// The first failure of the pass.
    #[track_caller]
    pub fn guided_alignment(self, links: &[Links], weights: Option<&[f32]>) -> Result<Var<'t>> {
        self.check()?;
        let (steps, mut layers): (Vec<_>, Vec<_>) = self.cross_attentions().into_iter().partition(|of| of.is_step);
        let attentions = match layers.len() {
            0 => steps,
            count => vec![layers.swap_remove(count.saturating_sub(2))],
        };
        let longest = |of: &CrossAttention<'_>| {
            (0..of.batch.memory.len()).map(|i| of.batch.memory.rows(i).len()).max().unwrap_or(0)
        };
        let longest = attentions.iter().map(longest).max().unwrap_or(0);
        // The links of each target token, and the target tokens that the steps before had.
        let of_token = |sequence: usize, token: usize| -> Vec<usize> {
            let own = links.get(sequence).into_iter().flatten();
            own.filter(|[_, target]| *target as usize == token).map(|[source, _]| *source as usize).collect()
        };
        let mut seen = vec![0; links.len()];
        let mut loss: Option<Var<'t>> = None;
        for attention in &attentions {
            let p = attention.weights(longest);
            let rows = p.shape()[0];
            let mut aligned = vec![0.0; rows * longest];
            for (sequence, seen) in seen.iter_mut().enumerate().take(attention.batch.queries.len()) {
                let weight = weights.map_or(1.0, |weights| f64::from(weights[sequence]));
                for &row in attention.batch.queries.rows(sequence) {
                    let sources = of_token(sequence, *seen);
                    let each = weight / sources.len() as f64;
                    sources
                        .iter()
                        .filter(|&&place| place < longest)
                        .for_each(|place| aligned[row * longest + place] = each);
                    *seen += 1;
                }
            }
            let aligned = self.constant(&Tensor::new([rows, longest], &aligned)?);
            let own = (p.affine(1.0, LEAST).log() * aligned).sum().scale(-1.0);
            loss = Some(loss.map_or(own, |loss| loss + own));
        }
        let none = || self.fail("guided_alignment", "the model has no attention to a source", &[]);
        let loss = loss.unwrap_or_else(none);
        self.check()?;
        Ok(loss)
    }

    /// The cross-attentions of this pass, of many heads the first.
    #[track_caller]
    fn cross_attentions(self) -> Vec<CrossAttention<'t>> {
        let found: Vec<_> = {
            let recording = self.recording.borrow();
            let nodes = recording.ops.iter().zip(&recording.nodes);
            let of_node = |(op, node): (&Option<AnyOp>, &Node)| {
                let op = op.as_ref().filter(|op| op.is_cross_attention())?;
                let input = |i: usize| Var { graph: self, id: node.inputs[i] };
                let (q, k) = (input(0), input(1));
                Some(match op {
                    AnyOp::MultiHeadAttention(op) => {
                        (Score::Dot { q, k, scale: op.scale() }, op.batch(), Some(op.first_head()))
                    }
                    AnyOp::DotAttention(op) => (Score::Dot { q, k, scale: op.scale() }, op.batch(), None),
                    AnyOp::AdditiveAttention(op) => (Score::Additive { q, k, w: input(2) }, op.batch(), None),
                    _ => return None,
                })
            };
            nodes.filter_map(of_node).collect()
        };
        let attention = |(score, batch, head): (Score<'t>, Ragged, Option<[Range<usize>; 2]>)| {
            let is_step = head.is_none();
            let score = match (score, head) {
                (Score::Dot { q, k, scale }, Some([of_q, of_k])) => {
                    Score::Dot { q: q.slice_last(of_q.start, of_q.end), k: k.slice_last(of_k.start, of_k.end), scale }
                }
                (score, _) => score,
            };
            CrossAttention { score, batch, is_step }
        };
        found.into_iter().map(attention).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{AttentionConfig, AttentionOperand, Parameters, PositionBias, Segments, Tape, Var, gradcheck};
    use descant_tensor::DType;
    use std::sync::Arc;

    /// Numbers without a pattern.
    fn numbers(count: usize) -> Vec<f64> {
        (0..count).map(|i| ((i * 37 % 23) as f64 - 11.0) / 7.0).collect()
    }

    const LINKS: [&[[u32; 2]]; 2] = [&[[0, 0], [2, 0], [1, 1]], &[[1, 0], [0, 2]]];

    #[test]
    fn the_loss_is_the_cross_entropy_of_the_weights_and_has_its_gradient() {
        let joined = |lengths: &[usize]| Arc::new(Segments::joined(lengths));
        let (queries, memory) = (joined(&[2, 3]), joined(&[4, 2]));
        let links = LINKS.map(<[_]>::to_vec);
        for kind in ["dot", "additive", "heads", "steps"] {
            let mut parameters = Parameters::new(DType::F64);
            let mut add =
                |name: &str, shape: &[usize]| parameters.add_with(name, shape, &numbers(shape.iter().product()));
            let (q, k, w) = (add("q", &[5, 4]), add("k", &[6, 4]), add("w", &[4]));
            let attend = |q: Var<'_>, k: Var<'_>, w: Var<'_>| match kind {
                "dot" => drop(q.dot_attention(k, k, &queries, &memory, 0.7)),
                "additive" => drop(q.additive_attention(k, w, k, &queries, &memory)),
                // A step at a time, of those sequences that are not at their end.
                "steps" => {
                    for (rows, lengths) in [([0, 2], [1, 1]), ([1, 3], [1, 1])] {
                        let rows: Arc<[u32]> = Arc::from(rows);
                        q.gather(&rows).dot_attention(k, k, &joined(&lengths), &memory, 0.7);
                    }
                    q.slice(4, 5).dot_attention(k, k, &joined(&[0, 1]), &memory, 0.7);
                }
                _ => {
                    let (bias, window, soft_cap, dropout) = (PositionBias::None, None, None, 0.0);
                    let (heads, kv_heads, head_dim, scale, causal) = (2, 1, 2, 0.7, false);
                    let config =
                        AttentionConfig { heads, kv_heads, head_dim, scale, causal, window, bias, soft_cap, dropout };
                    let of = |x, column| AttentionOperand { x, column };
                    // Keys begin at a column of their own.
                    let operands = [of(q, 0), of(k, 1), of(k, 2)];
                    q.graph().multi_head_attention(config, operands, None, &queries, &memory);
                }
            };
            let loss = |graph: crate::Graph<'_>, weights: Option<&[f32]>| {
                let [q, k, w] = [q, k, w].map(|id| graph.parameter(id));
                attend(q, k, w);
                graph.guided_alignment(&links, weights).unwrap().id
            };
            let value = |weights: Option<&[f32]>| {
                let mut tape = Tape::new();
                let graph = tape.differentiate(&parameters);
                let found = Var { graph, id: loss(graph, weights) }.item().unwrap();
                // By the weights as they are looked at.
                let layers = graph.cross_attention_weights(Some(1)).unwrap();
                let mut expected = 0.0;
                for (sequence, links) in LINKS.iter().enumerate() {
                    for [source, target] in links.iter().copied() {
                        let count = links.iter().filter(|link| link[1] == target).count() as f64;
                        let weight = weights.map_or(1.0, |weights| f64::from(weights[sequence]));
                        let p = layers[0][sequence].rows[target as usize][source as usize];
                        expected -= weight / count * p.ln();
                    }
                }
                (found, expected)
            };
            for weights in [None, Some(&[0.5, 3.0][..])] {
                let (found, expected) = value(weights);
                assert!((found - expected).abs() < 1e-6 * expected, "{kind}: {found} {expected}");
            }
            let rows = gradcheck::check(&mut parameters.clone(), None, 5, |graph| Var {
                graph,
                id: loss(graph, Some(&[0.5, 3.0])),
            });
            for row in rows.unwrap() {
                assert!(row.error <= gradcheck::TOLERANCE, "{kind}, {}: {:.1e}", row.name, row.error);
            }
        }
    }
}
