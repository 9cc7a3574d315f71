use crate::{EmbeddingLoss, LossConfig, ModelConfig, Vocabulary};
use descant_autograd::{Activation, ParameterId, Targets, TeacherProjection, Var};
use descant_batch::Batch;
use descant_nn::{Embedding, Init, Linear, Scope};
use std::sync::Arc;

/// Regularisers of the von Mises-Fisher loss, as Kumar & Tsvetkov 2019 set them.
const VMF: (f64, f64) = (0.02, 0.1);

/// The last layer: from a hidden state to a loss, or to a score for each entry of the vocabulary.
#[derive(Clone, Debug)]
pub enum OutputLayer {
    /// A score for each entry, and cross entropy over their softmax.
    Softmax {
        /// `[V, H]` and `[V]`.
        projection: Linear,
        /// The limit of the logits.
        soft_cap: Option<f64>,
        /// Label smoothing.
        smoothing: f64,
        /// How much two passes are held to agree.
        consistency: f64,
        /// A weight for each entry.
        class_weights: Option<Arc<[f64]>>,
        /// Entries that do not count as targets, in ascending order.
        ignored: Arc<[u32]>,
    },
    /// A vector, held against the fixed unit vectors of the vocabulary.
    Continuous {
        /// `[D, H]` and `[D]`.
        projection: Linear,
        /// `[V, D]`, frozen.
        targets: ParameterId,
        /// How they are held against each other.
        measure: EmbeddingLoss,
    },
}

impl OutputLayer {
    /// A fresh output layer on hidden states of `width`.
    pub(crate) fn new(
        scope: &mut Scope<'_>,
        loss: &LossConfig,
        config: &ModelConfig,
        embedding: &Embedding,
        (width, dimension): (usize, usize),
        vocabulary: &Vocabulary,
    ) -> Self {
        let entries = vocabulary.target;
        match loss {
            LossConfig::CrossEntropy { smoothing, consistency, .. } => Self::Softmax {
                projection: match config.tie.joins_output() {
                    false => Linear::new(&mut scope.at("projection"), width, entries, config.output_bias),
                    true => Linear::tied(&mut scope.at("projection"), embedding.weight, entries, config.output_bias),
                },
                soft_cap: config.output_soft_cap,
                smoothing: *smoothing,
                consistency: *consistency,
                class_weights: vocabulary.class_weights.clone(),
                ignored: vocabulary.ignored.clone(),
            },
            LossConfig::Embedding { measure } => {
                // Random directions are nearly orthogonal in many dimensions: a code word for each entry.
                let directions = || {
                    let mut rows = Init::Normal(1.0).draw(entries * dimension, 0);
                    for row in rows.chunks_mut(dimension) {
                        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
                        row.iter_mut().for_each(|x| *x /= norm);
                    }
                    rows
                };
                let projection = Linear::new(&mut scope.at("projection"), width, dimension, true);
                let targets = scope.frozen("targets", [entries, dimension], directions);
                Self::Continuous { projection, targets, measure: *measure }
            }
        }
    }

    /// The summed loss of `hidden[N, H]` against the ids of its rows.
    #[track_caller]
    pub fn loss<'t>(&self, hidden: Var<'t>, ids: &[u32]) -> Var<'t> {
        match self {
            Self::Softmax { .. } => self.cross_entropy(hidden, self.targets(ids)),
            Self::Continuous { projection, targets, measure } => {
                let x = projection.forward(hidden, Activation::Identity);
                let e = hidden.graph().parameter(*targets).gather(&Arc::from(ids));
                match measure {
                    EmbeddingLoss::Cosine => x.cosine_loss(e),
                    EmbeddingLoss::L2 => x.l2_loss(e),
                    EmbeddingLoss::Vmf => x.vmf_loss(e, VMF.0, VMF.1),
                }
            }
        }
    }

    /// How much two passes over a batch are held to agree; 0 where there is one.
    pub fn consistency(&self) -> f64 {
        match self {
            Self::Softmax { consistency, .. } => *consistency,
            Self::Continuous { .. } => 0.0,
        }
    }

    /// The summed loss of two passes, `hidden[2N, H]`, against the ids of the N rows of either. Continuous outputs fail.
    #[track_caller]
    pub fn consistent_loss<'t>(&self, hidden: Var<'t>, ids: &[u32]) -> Var<'t> {
        let graph = hidden.graph();
        let Self::Softmax { projection, consistency, .. } = self else {
            return graph.fail("r_drop_cross_entropy", "continuous outputs have no probabilities", &[hidden]);
        };
        let bias = projection.bias.map(|bias| graph.parameter(bias));
        hidden.r_drop_cross_entropy(graph.parameter(projection.weight), bias, &self.targets(ids), *consistency)
    }

    /// The summed negative log likelihood, in nats: the loss without smoothing and weights. Continuous outputs have
    /// none, and give their loss.
    #[track_caller]
    pub fn negative_log_likelihood<'t>(&self, hidden: Var<'t>, ids: &[u32]) -> Var<'t> {
        match self {
            &Self::Softmax { soft_cap, .. } => {
                self.cross_entropy(hidden, Targets { soft_cap, ..Targets::new(self.counted(ids)) })
            }
            Self::Continuous { .. } => self.loss(hidden, ids),
        }
    }

    #[track_caller]
    fn cross_entropy<'t>(&self, hidden: Var<'t>, targets: Targets) -> Var<'t> {
        let (Self::Softmax { projection, .. } | Self::Continuous { projection, .. }) = self;
        let graph = hidden.graph();
        let bias = projection.bias.map(|bias| graph.parameter(bias));
        hidden.cross_entropy(graph.parameter(projection.weight), bias, &targets)
    }

    /// The summed cross entropy of `hidden[N, H]` against what a teacher holds likely at a temperature. Continuous
    /// outputs fail.
    #[track_caller]
    pub fn distillation<'t>(
        &self,
        hidden: Var<'t>,
        ids: &[u32],
        teacher: TeacherProjection<'_>,
        temperature: f64,
    ) -> Var<'t> {
        let graph = hidden.graph();
        let Self::Softmax { projection, .. } = self else {
            return graph.fail("distillation", "continuous outputs have no scores to learn", &[hidden]);
        };
        let weights = ids.iter().map(|&id| self.target_weight(id)).collect();
        let bias = projection.bias.map(|bias| graph.parameter(bias));
        hidden.distillation(graph.parameter(projection.weight), bias, teacher, &weights, temperature)
    }

    /// What the loss is taken against.
    fn targets(&self, ids: &[u32]) -> Targets {
        match self {
            Self::Softmax { smoothing, class_weights, soft_cap, .. } => Targets {
                ids: self.counted(ids),
                smoothing: *smoothing,
                class_weights: class_weights.clone(),
                soft_cap: *soft_cap,
            },
            Self::Continuous { .. } => Targets::new(self.counted(ids)),
        }
    }

    /// The ids, those that do not count marked.
    fn counted(&self, ids: &[u32]) -> Arc<[u32]> {
        ids.iter().map(|&id| if self.counts(id) { id } else { Targets::IGNORED }).collect()
    }

    /// Whether an id counts as a target.
    pub fn counts(&self, id: u32) -> bool {
        if id == Batch::IGNORED {
            return false;
        }
        match self {
            Self::Softmax { ignored, .. } => ignored.binary_search(&id).is_err(),
            Self::Continuous { .. } => true,
        }
    }

    /// Whether the loss is a likelihood, so that there is a perplexity.
    pub fn is_likelihood(&self) -> bool {
        matches!(self, Self::Softmax { .. })
    }

    /// What the summed loss of these targets is divided by to make a mean.
    pub fn weight(&self, ids: &[u32]) -> f64 {
        ids.iter().map(|&id| self.target_weight(id)).sum()
    }

    /// How much an id counts as a target.
    fn target_weight(&self, id: u32) -> f64 {
        match self {
            _ if !self.counts(id) => 0.0,
            Self::Softmax { class_weights: Some(weights), .. } => weights.get(id as usize).copied().unwrap_or(1.0),
            Self::Softmax { .. } | Self::Continuous { .. } => 1.0,
        }
    }

    /// A score for each entry of the vocabulary, `[N, H]` to `[N, V]`: logits, or nearness to the entry's vector.
    #[track_caller]
    pub fn logits<'t>(&self, hidden: Var<'t>) -> Var<'t> {
        let graph = hidden.graph();
        match self {
            Self::Softmax { projection, soft_cap, .. } => {
                let logits = projection.forward(hidden, Activation::Identity);
                soft_cap.map_or(logits, |cap| logits.scale(1.0 / cap).tanh().scale(cap))
            }
            Self::Continuous { projection, targets, measure } => {
                let x = projection.forward(hidden, Activation::Identity);
                let nearness = x.matmul_t(graph.parameter(*targets));
                match measure {
                    // Unit targets: the nearest in angle and in distance has the largest product.
                    EmbeddingLoss::Cosine | EmbeddingLoss::Vmf => nearness,
                    EmbeddingLoss::L2 => nearness.scale(2.0),
                }
            }
        }
    }
}
