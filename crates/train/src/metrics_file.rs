use crate::gradient_flow::{Activations, GradientFlow};
use crate::objective_loss::Measures;
use descant_inference::layout::{METRICS, write};
use descant_inference::{Error, MetricsAccumulator};
use descant_text::read_file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

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
        /// Of that, what was spent on reading batches; not in the metrics of older programs.
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
        let path = run.join(METRICS);
        if !path.exists() {
            return Ok((Vec::new(), 0));
        }
        let bytes = read_file(&path).map_err(|error| Error::io("read the metrics from", &path, error))?;
        let (mut records, mut unread) = (Vec::new(), 0);
        for line in String::from_utf8_lossy(&bytes).lines() {
            match serde_json::from_str(line) {
                Ok(record) => records.push(record),
                Err(_) => unread += 1,
            }
        }
        Ok((records, unread))
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

/// The file `metrics.jsonl` of a run.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens it to go on after `step`: what an interrupted run wrote beyond is dropped, as it will be written again; and,
    /// where the training goes on beyond its end, the validation there. Also, how many lines could not be read, and are
    /// dropped too.
    pub(crate) fn open(run: &Path, step: u64, beyond_end: bool) -> Result<(Self, usize), Error> {
        let path = run.join(METRICS);
        let fail = |error| Error::io("write the metrics to", &path, error);
        let mut unread = 0;
        if path.exists() {
            let bytes = read_file(&path).map_err(fail)?;
            // A last line without its end is what a process was writing when it was killed.
            let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            let mut kept = String::new();
            for line in String::from_utf8_lossy(&bytes[..whole]).lines() {
                match serde_json::from_str::<MetricsRecord>(line) {
                    Ok(MetricsRecord::Validation { step: at, .. }) if beyond_end && at == step => {}
                    Ok(metric) if metric.step() <= step => kept.extend([line, "\n"]),
                    Ok(_) => {}
                    Err(_) => unread += 1,
                }
            }
            // Also where it is the same: a file of its own, if a copy of the run shares it by a hard link.
            write(&path, kept.as_bytes())?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(fail)?;
        Ok((Self { path, file }, unread))
    }

    pub(crate) fn write(&mut self, metric: &MetricsRecord) -> Result<(), Error> {
        let line = serde_json::to_string(metric).unwrap_or_default() + "\n";
        self.file.write_all(line.as_bytes()).map_err(|error| Error::io("write the metrics to", &self.path, error))
    }

    /// That the disk has all lines: before it has a checkpoint that goes on after them.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|error| Error::io("write the metrics to", &self.path, error))
    }
}
