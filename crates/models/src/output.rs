use crate::{LossConfig, Measure, Tie, Vocabulary};
use descant_autograd::{Activation, ParameterId, Targets, Var};
use descant_nn::{Embedding, Init, Linear, Scope};
use std::sync::Arc;

/// Regularisers of the von Mises-Fisher loss, as Kumar & Tsvetkov 2019 set them.
const VMF: (f64, f64) = (0.02, 0.1);

/// The last layer: from a hidden state to a loss, or to a score for each entry of the vocabulary.
#[derive(Clone, Debug)]
pub enum Output {
    /// A score for each entry, and cross entropy over their softmax.
    Softmax {
        /// `[V, H]` and `[V]`.
        projection: Linear,
        /// Label smoothing.
        smoothing: f64,
        /// A weight for each entry; an entry of weight zero does not count.
        class_weights: Option<Arc<[f64]>>,
    },
    /// A vector, held against the fixed unit vectors of the vocabulary.
    Continuous {
        /// `[D, H]` and `[D]`.
        projection: Linear,
        /// `[V, D]`, frozen.
        targets: ParameterId,
        /// How they are held against each other.
        measure: Measure,
    },
}

impl Output {
    /// A fresh output layer on hidden states of `width`.
    pub(crate) fn new(
        scope: &mut Scope<'_>,
        loss: &LossConfig,
        tie: Tie,
        embedding: &Embedding,
        (width, dimension): (usize, usize),
        vocabulary: &Vocabulary,
    ) -> Self {
        let entries = vocabulary.target;
        match loss {
            LossConfig::CrossEntropy { smoothing, .. } => Self::Softmax {
                projection: match tie {
                    Tie::None => Linear::new(&mut scope.at("projection"), width, entries, true),
                    Tie::Output | Tie::All => Linear::tied(&mut scope.at("projection"), embedding.weight, entries),
                },
                smoothing: *smoothing,
                class_weights: vocabulary.class_weights.clone(),
            },
            LossConfig::Embedding { measure } => {
                // Random directions are nearly orthogonal in many dimensions: a code word for each entry.
                let mut rows = Init::Normal(1.0).draw(entries * dimension, 0);
                for row in rows.chunks_mut(dimension) {
                    let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
                    row.iter_mut().for_each(|x| *x /= norm);
                }
                let projection = Linear::new(&mut scope.at("projection"), width, dimension, true);
                let targets = scope.frozen("targets", [entries, dimension], &rows);
                Self::Continuous { projection, targets, measure: *measure }
            }
        }
    }

    /// The summed loss of `hidden[N, H]` against the ids of its rows.
    #[track_caller]
    pub fn loss<'t>(&self, hidden: Var<'t>, ids: &Arc<[u32]>) -> Var<'t> {
        let graph = hidden.graph();
        match self {
            Self::Softmax { projection, smoothing, class_weights } => {
                let targets = Targets { ids: ids.clone(), smoothing: *smoothing, class_weights: class_weights.clone() };
                let bias = projection.bias.map(|bias| graph.parameter(bias));
                hidden.cross_entropy(graph.parameter(projection.weight), bias, &targets)
            }
            Self::Continuous { projection, targets, measure } => {
                let x = projection.forward(hidden, Activation::Identity);
                let e = graph.parameter(*targets).gather(ids);
                match measure {
                    Measure::Cosine => x.cosine_loss(e),
                    Measure::L2 => x.l2_loss(e),
                    Measure::Vmf => x.vmf_loss(e, VMF.0, VMF.1),
                }
            }
        }
    }

    /// What the summed loss of these targets is divided by to make a mean.
    pub fn weight(&self, ids: &[u32]) -> f64 {
        match self {
            Self::Softmax { class_weights: Some(weights), .. } => ids.iter().map(|&id| weights[id as usize]).sum(),
            _ => ids.len() as f64,
        }
    }

    /// A score for each entry of the vocabulary, `[N, H]` to `[N, V]`: logits, or nearness to the entry's vector.
    #[track_caller]
    pub fn scores<'t>(&self, hidden: Var<'t>) -> Var<'t> {
        let graph = hidden.graph();
        match self {
            Self::Softmax { projection, .. } => projection.forward(hidden, Activation::Identity),
            Self::Continuous { projection, targets, measure } => {
                let x = projection.forward(hidden, Activation::Identity);
                let nearness = x.matmul_t(graph.parameter(*targets));
                match measure {
                    // Unit targets: the nearest in angle and in distance has the largest product.
                    Measure::Cosine | Measure::Vmf => nearness,
                    Measure::L2 => nearness.scale(2.0),
                }
            }
        }
    }
}
