use crate::{Init, Scope};
use descant_autograd::{Activation, ParameterId, Segments, Var};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The attention score function of a decoder state `q` and an encoder state `m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionScore {
    /// `qᵀ m` (Luong et al. 2015, arXiv 1508.04025).
    Dot,
    /// `qᵀ W m` (Luong et al. 2015).
    General,
    /// `qᵀ m / √H` (Vaswani et al. 2017, arXiv 1706.03762): scores of the same size whatever the width.
    ScaledDot,
    /// `qᵀ W m / √H`: the same of `General`, whose softmax saturates in the first steps where states are wide.
    ScaledGeneral,
    /// `vᵀ tanh(W [q; m])` (Luong et al. 2015).
    Concat,
    /// `vᵀ tanh(W_q q + W_m m)` (Bahdanau et al. 2015, arXiv 1409.0473).
    Additive,
}

impl AttentionScore {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Dot, Self::General, Self::ScaledDot, Self::ScaledGeneral, Self::Concat, Self::Additive];
}

/// Attention of decoder states to encoder states, all `[.., H]`, with one head.
#[derive(Clone, Debug)]
pub struct Attention {
    weights: Weights,
    width: usize,
}

#[derive(Clone, Debug)]
enum Weights {
    /// The factor of the scores.
    Dot {
        scale: f64,
    },
    General {
        weight: ParameterId,
        scale: f64,
    },
    Concat {
        weight: ParameterId,
        v: ParameterId,
    },
    Additive {
        query: ParameterId,
        memory: ParameterId,
        v: ParameterId,
    },
}

impl Attention {
    /// Draws weights for states of `width`.
    pub fn new(scope: &mut Scope<'_>, score: AttentionScore, width: usize) -> Self {
        let init = Init::Uniform(1.0 / (width.max(1) as f64).sqrt());
        let scale = match score {
            AttentionScore::ScaledDot | AttentionScore::ScaledGeneral => 1.0 / (width.max(1) as f64).sqrt(),
            _ => 1.0,
        };
        let weights = match score {
            AttentionScore::Dot | AttentionScore::ScaledDot => Weights::Dot { scale },
            AttentionScore::General | AttentionScore::ScaledGeneral => {
                Weights::General { weight: scope.parameter("weight", [width, width], init), scale }
            }
            AttentionScore::Concat => Weights::Concat {
                weight: scope.parameter("weight", [width, 2 * width], init),
                v: scope.parameter("v", [width], init),
            },
            AttentionScore::Additive => Weights::Additive {
                query: scope.parameter("query.weight", [width, width], init),
                memory: scope.parameter("memory.weight", [width, width], init),
                v: scope.parameter("v", [width], init),
            },
        };
        Self { weights, width }
    }

    /// The projected keys of the encoder states, computed once for all steps and hypotheses; none where the states are the keys.
    #[track_caller]
    pub fn keys<'t>(&self, memory: Var<'t>) -> Option<Var<'t>> {
        let graph = memory.graph();
        let weight = match self.weights {
            // Projected keys would be read beside the values: queries are cheaper to project, but in a wide beam.
            Weights::Dot { .. } | Weights::General { .. } => return None,
            Weights::Concat { weight, .. } => graph.parameter(weight).slice_last(self.width, 2 * self.width),
            Weights::Additive { memory: weight, .. } => graph.parameter(weight),
        };
        Some(memory.linear(weight, None, Activation::Identity))
    }

    /// The context of each query: `query[n_query, H]`, keys and encoder states `[n_source, H]` to `[n_query, H]`. The segments
    /// say which rows belong to the same sequence.
    #[track_caller]
    pub fn forward<'t>(
        &self,
        query: Var<'t>,
        keys: Var<'t>,
        memory: Var<'t>,
        queries: &Arc<Segments>,
        sources: &Arc<Segments>,
    ) -> Var<'t> {
        let graph = query.graph();
        match self.weights {
            Weights::Dot { scale } => query.dot_attention(keys, memory, queries, sources, scale),
            Weights::General { weight, scale } => query
                .linear(graph.parameter(weight), None, Activation::Identity)
                .dot_attention(keys, memory, queries, sources, scale),
            Weights::Concat { weight, v } => {
                let weight = graph.parameter(weight).slice_last(0, self.width);
                let query = query.linear(weight, None, Activation::Identity);
                query.additive_attention(keys, graph.parameter(v), memory, queries, sources)
            }
            Weights::Additive { query: weight, v, .. } => {
                let query = query.linear(graph.parameter(weight), None, Activation::Identity);
                query.additive_attention(keys, graph.parameter(v), memory, queries, sources)
            }
        }
    }
}
