use descant_hyperparameters::ZclipState;
use descant_text::Position;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a training stands: with the weights and the optimizer's state, all that is needed to go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps done.
    pub step: u64,
    /// The next batch.
    pub position: Position,
    /// The best validation's loss, or what `train.best_metric` names, and its step.
    pub best: Option<(f64, u64)>,
    /// The best values of `train.stop_metrics`, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub best_values: BTreeMap<String, f64>,
    /// Validations since then, or since one of these improved.
    pub stale: u64,
    /// Steps that were skipped, as their loss or gradient was not finite.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u64,
    /// Those of them that were the last steps.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped_last: u64,
    /// The plateau schedule's state.
    pub schedule: Option<serde_json::Value>,
    /// What `train.clip = { zclip = … }` knows of the gradients so far.
    #[serde(default, skip_serializing_if = "ZclipState::is_empty")]
    pub zclip: ZclipState,
    /// Sums over the steps since the last line of metrics.
    #[serde(default, skip_serializing_if = "MetricsAccumulator::is_empty")]
    pub log: MetricsAccumulator,
    /// Where the last validation came only because the training ended: what was known before it, for one that goes further
    /// after all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_end: Option<Validated>,
    /// Whether the checkpoint came only because the training was asked to stop, or ended: then it is none of those that `train.keep`
    /// counts. Taken down, as `train.validate_every` and `checkpoint_every` may change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unscheduled: bool,
    /// Whether the validation at this step is still to come: the training was asked to stop before that was done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub validation_due: bool,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// State of early stopping and of the plateau schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validated {
    best: Option<(f64, u64)>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    best_values: BTreeMap<String, f64>,
    stale: u64,
    schedule: Option<serde_json::Value>,
}

impl Progress {
    /// Keeps what is known before a validation that comes only because the training ends.
    pub fn remember(&mut self) {
        let Self { best, best_values, stale, schedule, .. } = self.clone();
        self.before_end = Some(Validated { best, best_values, stale, schedule });
    }

    /// The step of the best validation before one that came only because the training ended: the best again, should the
    /// training go on after all.
    pub fn best_before_end(&self) -> Option<u64> {
        self.before_end.as_ref()?.best.map(|(_, step)| step)
    }

    /// Discards the last validation, if it came only because the training ended; whether it did.
    pub fn forget_end(&mut self) -> bool {
        let Some(Validated { best, best_values, stale, schedule }) = self.before_end.take() else { return false };
        (self.best, self.best_values, self.stale, self.schedule) = (best, best_values, stale, schedule);
        true
    }
}

/// Sums over the steps since the last metrics line. A checkpoint holds them, so that a resume writes the same next line,
/// except for the speed, which is that of this process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricsAccumulator {
    steps: u64,
    /// Steps with a loss.
    #[serde(default)]
    learned: u64,
    loss: f64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    measures: BTreeMap<String, f64>,
    gradient_norm: f64,
    #[serde(skip)]
    tokens: usize,
    #[serde(skip)]
    seconds: f64,
    #[serde(skip)]
    data_seconds: f64,
}

impl MetricsAccumulator {
    /// Adds a step: its loss, where a target counted, with what is measured beside, its gradient norm, and the target tokens that took so long.
    pub fn add(
        &mut self,
        loss: Option<f64>,
        measures: &BTreeMap<String, f64>,
        gradient_norm: f64,
        tokens: usize,
        seconds: f64,
    ) {
        self.seconds += seconds;
        self.steps += 1;
        self.learned += u64::from(loss.is_some());
        self.loss += loss.unwrap_or(0.0);
        for (name, value) in measures {
            *self.measures.entry(name.clone()).or_insert(0.0) += value;
        }
        self.gradient_norm += gradient_norm;
        self.tokens += tokens;
    }

    /// Adds the time that training waited for a batch, which is of a step's time.
    pub fn add_waiting(&mut self, seconds: f64) {
        self.data_seconds += seconds;
    }

    /// Whether there was no step.
    pub fn is_empty(&self) -> bool {
        self.steps == 0
    }

    /// The mean loss and gradient norm of the steps that learned something: no loss where none did.
    pub fn means(&self) -> (Option<f64>, f64) {
        let n = self.learned.max(1) as f64;
        ((self.learned > 0).then_some(self.loss / n), self.gradient_norm / n)
    }

    /// The means of what is measured beside the loss.
    pub fn measures(&self) -> BTreeMap<String, f64> {
        self.measures.iter().map(|(name, sum)| (name.clone(), sum / self.learned.max(1) as f64)).collect()
    }

    /// The time of the steps that this process did.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Of that, what was waited for batches.
    pub fn data_seconds(&self) -> f64 {
        self.data_seconds
    }

    /// Target tokens per second.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.seconds.max(1e-9)
    }
}
