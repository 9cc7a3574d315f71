use crate::gradient_flow::{Activations, GradientFlow};
use crate::line_file::{LineFile, read_lines};
use crate::objective_loss::Measures;
use descant_inference::layout::METRICS;
use descant_inference::{Error, MetricsAccumulator};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MetricsRecord {
    /// Means over the steps since the last such line.
    Train {
        /// Optimizer steps done.
        step: u64,
        /// Epochs done.
        epoch: u64,
        /// Loss per target token, in nats; none where none of them counts.
        loss: Option<f64>,
        /// What the loss is made of beside, where it is made of whole sequences.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        measures: Measures,
        /// Norm of the gradient before clipping.
        gradient_norm: f64,
        /// The learning rate.
        learning_rate: f64,
        /// Target tokens per second.
        tokens_per_s: f64,
        /// The time that these steps took, of those that this process did; not in the metrics of older programs.
        #[serde(default)]
        seconds: f64,
        /// Of that, what was waited for batches; not in the metrics of older programs.
        #[serde(default)]
        data_seconds: f64,
    },
    /// How gradients flowed in the step of the line before.
    GradientFlow {
        /// Optimizer steps done.
        step: u64,
        /// By the names of the trainable parameters.
        parameters: GradientFlow,
        /// By the names of the layers' weights, of the first share of the batch.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        activations: Activations,
    },
    /// A step that left the weights as they are, as its loss or gradient was not finite.
    Skipped {
        /// Optimizer steps done, with this one.
        step: u64,
        /// The first operation that was not finite.
        cause: String,
        /// Steps skipped so far.
        skipped: u64,
    },
    /// Over the whole validation text.
    Validation {
        /// Optimizer steps done.
        step: u64,
        /// Loss per target token, in nats.
        loss: f64,
        /// `e^loss`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        perplexity: Option<f64>,
        /// Token accuracy under teacher forcing.
        accuracy: f64,
        /// Those of `train.validation_metrics`, of texts that the model generates; and what the loss is made of beside, as above.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        metrics: BTreeMap<String, f64>,
        /// Whether this is the best so far.
        best: bool,
        /// By how many nats a target token is likelier with its own source than with another example's, over the first batches.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source_gain: Option<f64>,
        /// The time that it took; not in the metrics of older programs.
        #[serde(default)]
        seconds: f64,
    },
}

impl MetricsRecord {
    /// The means over the steps of `log`.
    pub(crate) fn train(log: &MetricsAccumulator, step: u64, epoch: u64, learning_rate: f64) -> Self {
        let (loss, gradient_norm) = log.means();
        let (tokens_per_s, seconds, data_seconds) = (log.tokens_per_second(), log.seconds(), log.data_seconds());
        let measures = log.measures();
        Self::Train { step, epoch, loss, measures, gradient_norm, learning_rate, tokens_per_s, seconds, data_seconds }
    }

    /// The metrics of a run, and how many of its lines cannot be read; none where there is no such file.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn of_run(run: &Path) -> Result<(Vec<Self>, usize), Error> {
        read_lines(&run.join(METRICS))
    }

    /// The time that it says something took.
    pub(crate) fn seconds(&self) -> f64 {
        match self {
            Self::Train { seconds, .. } | Self::Validation { seconds, .. } => *seconds,
            Self::GradientFlow { .. } | Self::Skipped { .. } => 0.0,
        }
    }

    /// Optimizer steps done.
    pub(crate) fn step(&self) -> u64 {
        match self {
            Self::Train { step, .. }
            | Self::GradientFlow { step, .. }
            | Self::Skipped { step, .. }
            | Self::Validation { step, .. } => *step,
        }
    }
}

/// The figures of one optimizer step.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// Loss per target token, in nats; none where none of them counts, and nothing was learned.
    pub loss: Option<f64>,
    /// What the loss is made of beside.
    pub measures: Measures,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Target tokens.
    pub tokens: usize,
    /// How gradients flowed, at some of the steps that end a line of metrics.
    pub flow: Option<GradientFlow>,
    /// The activations of its layers, at the same steps.
    pub activations: Activations,
    /// Why the step was skipped, where it was.
    pub skipped: Option<String>,
}

impl Step {
    /// One that leaves the weights as they are.
    pub(crate) fn without_update(learning_rate: f64) -> Self {
        let (loss, gradient_norm, tokens) = (None, 0.0, 0);
        let (measures, activations) = (Measures::new(), Activations::new());
        Self { loss, measures, gradient_norm, learning_rate, tokens, flow: None, activations, skipped: None }
    }
}

/// Opens `metrics.jsonl` to go on after `step`; where it begins with the validation there, without that. Also, how many lines
/// could not be read, and are dropped.
pub(crate) fn open_metrics(run: &Path, step: u64, validates_again: bool) -> Result<(LineFile, usize), Error> {
    LineFile::open(run.join(METRICS), |record: &MetricsRecord| match record {
        MetricsRecord::Validation { step: at, .. } if validates_again && *at == step => false,
        record => record.step() <= step,
    })
}
