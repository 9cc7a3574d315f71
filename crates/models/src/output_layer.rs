use crate::{EmbeddingLoss, HiddenStates, LossConfig, ModelConfig, Tie, Vocabulary};
use descant_autograd::{Activation, Graph, ParameterId, Segments, Targets, TeacherProjection, Unlikelihood, Var};
use descant_batch::{Batch, Sequences};
use descant_nn::{Embedding, Init, Linear, Scope};
use descant_tensor::{Result, Tensor};
use std::sync::Arc;

/// Rows whose logits are materialised at a time.
const BLOCK: usize = 256;

/// Regularisation constants of the von Mises-Fisher loss (Kumar & Tsvetkov 2019).
const VMF: (f64, f64) = (0.02, 0.1);

/// The output layer: from hidden states to logits, or to a loss.
#[derive(Clone, Debug)]
pub enum OutputLayer {
    /// Logits over the vocabulary, softmax and cross entropy.
    Softmax {
        /// `[V, H]` and `[V]`.
        projection: Linear,
        /// Soft cap of the logits.
        soft_cap: Option<f64>,
        /// Label smoothing.
        smoothing: f64,
        /// The weight of R-Drop's divergence.
        r_drop: f64,
        /// The weight of the z-loss.
        z_loss: f64,
        /// The exponent of the focal loss.
        focal: f64,
        /// The weight of token-level unlikelihood.
        unlikelihood: f64,
        /// The loss weight of each entry.
        class_weights: Option<Arc<[f64]>>,
        /// Entries that are masked as targets, in ascending order.
        ignored: Arc<[u32]>,
    },
    /// A vector in the space of fixed unit embeddings of the vocabulary (Kumar & Tsvetkov 2019).
    Continuous {
        /// `[D, H]` and `[D]`.
        projection: Linear,
        /// The target embeddings, `[V, D]`, frozen.
        targets: ParameterId,
        /// The loss of a prediction and its target.
        measure: EmbeddingLoss,
    },
}

impl OutputLayer {
    /// Draws an output layer on hidden states of `width`.
    pub(crate) fn new(
        scope: &mut Scope<'_>,
        loss: &LossConfig,
        config: &ModelConfig,
        embedding: &Embedding,
        (width, dimension): (usize, usize),
        vocabulary: &Vocabulary,
    ) -> Self {
        let entries = vocabulary.target;
        let mut softmax = |[smoothing, r_drop, z_loss, focal, unlikelihood]: [f64; 5]| Self::Softmax {
            projection: match config.tie.joins_output() {
                false => Linear::new(&mut scope.at("projection"), width, entries, config.output_bias),
                true => Linear::tied(&mut scope.at("projection"), embedding.weight, entries, config.output_bias),
            },
            soft_cap: config.output_soft_cap,
            smoothing,
            r_drop,
            z_loss,
            focal,
            unlikelihood,
            class_weights: vocabulary.class_weights.clone(),
            ignored: vocabulary.ignored.clone(),
        };
        match loss {
            LossConfig::CrossEntropy { smoothing, r_drop, z_loss, focal, unlikelihood, .. } => {
                softmax([*smoothing, *r_drop, *z_loss, *focal, *unlikelihood])
            }
            // What it is made of is of whole sequences.
            LossConfig::Dpo(_) | LossConfig::MinimumRisk(_) => softmax([0.0; 5]),
            LossConfig::Embedding { measure } => {
                let projection = Linear::new(&mut scope.at("projection"), width, dimension, true);
                let targets = match config.tie {
                    Tie::Output => embedding.weight,
                    _ => fixed_targets(scope, entries, dimension),
                };
                Self::Continuous { projection, targets, measure: *measure }
            }
        }
    }

    /// The embedding of what a decoder reads, where it is not that of the sources: a table of its own, or that of the fixed
    /// embeddings which continuous outputs predict.
    pub(crate) fn embedding(
        scope: &mut Scope<'_>,
        loss: &LossConfig,
        config: &ModelConfig,
        dimension: usize,
        vocabulary: &Vocabulary,
    ) -> Embedding {
        match (loss, config.tie) {
            (LossConfig::Embedding { .. }, Tie::Output) => {
                Embedding { weight: fixed_targets(scope, vocabulary.target, dimension) }
            }
            _ => Embedding::new(&mut scope.at("embedding"), vocabulary.target, dimension),
        }
    }

    /// The training loss of a batch, summed over all targets, each times the weight of its sequence.
    #[track_caller]
    pub fn loss<'t>(&self, hidden: &HiddenStates<'t>, batch: &Batch) -> Var<'t> {
        let ids = hidden.targets(&batch.target);
        match self {
            Self::Softmax { .. } => {
                let row_weights = row_weights(&hidden.segments, batch);
                let targets = Targets { row_weights, ..self.targets(&ids, &hidden.segments) };
                self.cross_entropy(hidden.rows, targets)
            }
            Self::Continuous { .. } if batch.weights.is_some() => {
                hidden.rows.graph().fail("loss", "continuous outputs have no weights of sequences", &[hidden.rows])
            }
            Self::Continuous { projection, targets, measure } => {
                let x = projection.forward(hidden.rows, Activation::Identity);
                let e = hidden.rows.graph().parameter(*targets).gather(&ids);
                match measure {
                    EmbeddingLoss::Cosine => x.cosine_loss(e),
                    EmbeddingLoss::L2 => x.l2_loss(e),
                    EmbeddingLoss::Vmf => x.vmf_loss(e, VMF.0, VMF.1),
                }
            }
        }
    }

    /// The weight of R-Drop's divergence; 0 where there is one pass over a batch.
    pub fn r_drop_weight(&self) -> f64 {
        match self {
            Self::Softmax { r_drop, .. } => *r_drop,
            Self::Continuous { .. } => 0.0,
        }
    }

    /// The summed R-Drop loss of two passes over a batch, whose states follow each other in `hidden`. Continuous outputs
    /// fail.
    #[track_caller]
    pub fn r_drop_loss<'t>(&self, hidden: HiddenStates<'t>, batch: &Batch) -> Var<'t> {
        let hidden = hidden.sequence_major().rows;
        let graph = hidden.graph();
        let Self::Softmax { projection, r_drop, .. } = self else {
            return graph.fail("r_drop_cross_entropy", "continuous outputs have no probabilities", &[hidden]);
        };
        let bias = projection.bias.map(|bias| graph.parameter(bias));
        let segments = Segments::joined(&batch.target.lengths());
        let row_weights = row_weights(&segments, batch);
        let targets = Targets { row_weights, ..self.targets(&batch.target.ids, &segments) };
        hidden.r_drop_cross_entropy(graph.parameter(projection.weight), bias, &targets, *r_drop)
    }

    /// The summed negative log likelihood in nats: the loss without label smoothing and class weights, but with those of sequences. Continuous
    /// outputs have none, and give their loss.
    #[track_caller]
    pub fn negative_log_likelihood<'t>(&self, hidden: &HiddenStates<'t>, batch: &Batch) -> Var<'t> {
        match self {
            &Self::Softmax { soft_cap, .. } => {
                let ids = self.counted(&hidden.targets(&batch.target));
                let row_weights = row_weights(&hidden.segments, batch);
                self.cross_entropy(hidden.rows, Targets { soft_cap, row_weights, ..Targets::new(ids) })
            }
            Self::Continuous { .. } => self.loss(hidden, batch),
        }
    }

    /// The log-likelihood in nats of each sequence, `[S]`. Continuous outputs fail.
    #[track_caller]
    pub fn log_likelihoods<'t>(&self, hidden: &HiddenStates<'t>, targets: &Sequences) -> Var<'t> {
        let graph = hidden.rows.graph();
        let Self::Softmax { projection, soft_cap, .. } = self else {
            return graph.fail("log_likelihood", "continuous outputs have no probabilities", &[hidden.rows]);
        };
        let bias = projection.bias.map(|bias| graph.parameter(bias));
        let targets = (self.counted(&hidden.targets(targets)), &*hidden.segments);
        hidden.rows.log_likelihood(graph.parameter(projection.weight), bias, targets, *soft_cap)
    }

    #[track_caller]
    fn cross_entropy<'t>(&self, hidden: Var<'t>, targets: Targets) -> Var<'t> {
        let (Self::Softmax { projection, .. } | Self::Continuous { projection, .. }) = self;
        let graph = hidden.graph();
        let bias = projection.bias.map(|bias| graph.parameter(bias));
        hidden.cross_entropy(graph.parameter(projection.weight), bias, &targets)
    }

    /// The summed cross entropy against a teacher's distribution at a temperature (distillation). Continuous outputs fail.
    #[track_caller]
    pub fn distillation<'t>(
        &self,
        hidden: &HiddenStates<'t>,
        batch: &Batch,
        teacher: TeacherProjection<'_>,
        temperature: f64,
    ) -> Var<'t> {
        let graph = hidden.rows.graph();
        let Self::Softmax { projection, .. } = self else {
            return graph.fail("distillation", "continuous outputs have no scores to learn", &[hidden.rows]);
        };
        let mut weights: Vec<f64> = hidden.targets(&batch.target).iter().map(|&id| self.target_weight(id)).collect();
        if let Some(rows) = row_weights(&hidden.segments, batch) {
            weights.iter_mut().zip(&*rows).for_each(|(weight, row)| *weight *= f64::from(*row));
        }
        let bias = projection.bias.map(|bias| graph.parameter(bias));
        hidden.rows.distillation(graph.parameter(projection.weight), bias, teacher, &weights.into(), temperature)
    }

    /// The targets of the training loss.
    fn targets(&self, ids: &[u32], segments: &Segments) -> Targets {
        let ids = self.counted(ids);
        let counted = |row: usize| Some(ids[row]).filter(|&id| id != Targets::IGNORED);
        match self {
            Self::Softmax { smoothing, z_loss, focal, unlikelihood, class_weights, soft_cap, .. } => Targets {
                unlikelihood: (*unlikelihood > 0.0).then(|| Unlikelihood::new(*unlikelihood, segments, counted)),
                ids: ids.clone(),
                smoothing: *smoothing,
                z_loss: *z_loss,
                focal: *focal,
                class_weights: class_weights.clone(),
                row_weights: None,
                soft_cap: *soft_cap,
            },
            Self::Continuous { .. } => Targets::new(ids),
        }
    }

    /// The ids, masked ones marked.
    fn counted(&self, ids: &[u32]) -> Arc<[u32]> {
        ids.iter().map(|&id| if self.counts(id) { id } else { Targets::IGNORED }).collect()
    }

    /// Whether an id counts as a target, rather than being masked.
    pub fn counts(&self, id: u32) -> bool {
        if id == Batch::IGNORED {
            return false;
        }
        match self {
            Self::Softmax { ignored, .. } => ignored.binary_search(&id).is_err(),
            Self::Continuous { .. } => true,
        }
    }

    /// The fixed embeddings that continuous outputs predict.
    pub fn fixed_targets(&self) -> Option<ParameterId> {
        match self {
            Self::Softmax { .. } => None,
            Self::Continuous { targets, .. } => Some(*targets),
        }
    }

    /// Whether the loss is a likelihood, so that it has a perplexity.
    pub fn is_likelihood(&self) -> bool {
        matches!(self, Self::Softmax { .. })
    }

    /// The divisor that makes a mean of the summed loss of a batch: the sum of the weights of its targets.
    pub fn weight(&self, batch: &Batch) -> f64 {
        let of = |ids: &[u32]| ids.iter().map(|&id| self.target_weight(id)).sum::<f64>();
        match &batch.weights {
            None => of(&batch.target.ids),
            Some(weights) => {
                let sequences = weights.iter().enumerate();
                sequences.map(|(i, &weight)| f64::from(weight) * of(batch.target.get(i))).sum()
            }
        }
    }

    /// The loss weight of a target id.
    fn target_weight(&self, id: u32) -> f64 {
        match self {
            _ if !self.counts(id) => 0.0,
            Self::Softmax { class_weights: Some(weights), .. } => weights.get(id as usize).copied().unwrap_or(1.0),
            Self::Softmax { .. } | Self::Continuous { .. } => 1.0,
        }
    }

    /// Logits over the vocabulary, `[N, H]` to `[N, V]`; of continuous outputs the similarity to each target embedding.
    #[track_caller]
    pub fn logits<'t>(&self, hidden: Var<'t>) -> Var<'t> {
        let graph = hidden.graph();
        let (weight, bias) = self.token_rows();
        self.logits_by(hidden, graph.parameter(weight), bias.map(|bias| graph.parameter(bias)))
    }

    /// The token with the largest logit of each row.
    ///
    /// # Errors
    /// Whatever the pass fails with.
    pub fn likeliest(&self, hidden: Var<'_>) -> Result<Vec<u32>> {
        let (rows, mut found) = (hidden.shape()[0], Vec::new());
        for start in (0..rows).step_by(BLOCK) {
            let logits = self.logits(hidden.slice(start, rows.min(start + BLOCK))).value()?;
            // The first of equals, as generation takes it.
            let best =
                |row: &[f32]| row.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1)).map(|(i, _)| i as u32);
            found.extend(logits.to_f32().chunks(logits.shape().last().max(1)).filter_map(best));
        }
        Ok(found)
    }

    /// The rows of some tokens of its weight, in full precision.
    ///
    /// # Errors
    /// A token that the vocabulary does not have.
    pub fn select(&self, graph: Graph<'_>, tokens: &Arc<[u32]>) -> Result<OutputRows> {
        let (weight, bias) = self.token_rows();
        let rows = |id: ParameterId| graph.parameter(id).gather(tokens).value().map(Arc::new);
        Ok(OutputRows { weight: rows(weight)?, bias: bias.map(rows).transpose()? })
    }

    /// The logits of some tokens alone.
    #[track_caller]
    pub fn logits_of<'t>(&self, hidden: Var<'t>, rows: &OutputRows) -> Var<'t> {
        let graph = hidden.graph();
        self.logits_by(hidden, graph.shared(&rows.weight), rows.bias.as_ref().map(|bias| graph.shared(bias)))
    }

    /// The weight, with tied embeddings their table, and the bias of its projection.
    pub fn parameters(&self) -> Vec<ParameterId> {
        let (Self::Softmax { projection, .. } | Self::Continuous { projection, .. }) = self;
        std::iter::once(projection.weight).chain(projection.bias).collect()
    }

    /// What has a row for each token: `[V, ..]`, and perhaps `[V]`.
    pub fn token_rows(&self) -> (ParameterId, Option<ParameterId>) {
        match self {
            Self::Softmax { projection, .. } => (projection.weight, projection.bias),
            Self::Continuous { targets, .. } => (*targets, None),
        }
    }

    #[track_caller]
    fn logits_by<'t>(&self, hidden: Var<'t>, weight: Var<'t>, bias: Option<Var<'t>>) -> Var<'t> {
        match self {
            Self::Softmax { soft_cap, .. } => {
                let logits = hidden.linear(weight, bias, Activation::Identity);
                soft_cap.map_or(logits, |cap| logits.scale(1.0 / cap).tanh().scale(cap))
            }
            Self::Continuous { projection, measure, .. } => {
                let x = projection.forward(hidden, Activation::Identity);
                // Targets have unit length: the largest dot product is the nearest, in angle and in distance. With the length of x as
                // its concentration, a softmax of the dot products is what a von Mises-Fisher distribution says of these targets.
                let (graph, width) = (x.graph(), x.shape().last());
                let concentration = (VMF.1 - VMF.0) * width as f64;
                let x = match measure {
                    EmbeddingLoss::Vmf => x,
                    // About a mean of targets, the shorter the less they agree.
                    EmbeddingLoss::L2 => x.scale(concentration),
                    // Of any length.
                    EmbeddingLoss::Cosine => {
                        let zeros = graph.constant(&Tensor::zeros(graph.dtype(), [width]));
                        x.rms_norm(
                            zeros.affine(1.0, concentration / (width as f64).sqrt()),
                            f64::from(f32::MIN_POSITIVE),
                        )
                    }
                };
                x.matmul_t(weight)
            }
        }
    }
}

/// The weight of each row of hidden states: that of its sequence.
fn row_weights(segments: &Segments, batch: &Batch) -> Option<Arc<[f32]>> {
    let weights = batch.weights.as_ref()?;
    let mut rows = vec![1.0; segments.tokens()];
    for (sequence, &weight) in weights.iter().enumerate() {
        segments.rows(sequence).iter().for_each(|&row| rows[row] = weight);
    }
    Some(rows.into())
}

/// The fixed embeddings that continuous outputs predict, of unit length. Random directions are nearly orthogonal in many
/// dimensions.
fn fixed_targets(scope: &mut Scope<'_>, entries: usize, dimension: usize) -> ParameterId {
    scope.frozen("targets", [entries, dimension], || {
        let mut rows = Init::Normal(1.0).draw(entries * dimension, 0);
        for row in rows.chunks_mut(dimension) {
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
            row.iter_mut().for_each(|x| *x /= norm);
        }
        rows
    })
}

/// Some rows of an output layer's weight.
#[derive(Clone, Debug)]
pub struct OutputRows {
    weight: Arc<Tensor>,
    bias: Option<Arc<Tensor>>,
}
