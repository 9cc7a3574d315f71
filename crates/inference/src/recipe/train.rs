use descant_hyperparameters::ClippingConfig;
use descant_kernels::MatmulPrecision;
use descant_text::Ramp;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Matmul precision in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainPrecision {
    /// Single precision.
    F32,
    /// bfloat16.
    Bf16,
}

impl From<TrainPrecision> for MatmulPrecision {
    fn from(precision: TrainPrecision) -> Self {
        match precision {
            TrainPrecision::F32 => Self::Full,
            TrainPrecision::Bf16 => Self::Bf16,
        }
    }
}

/// What a training does at a step whose loss or gradient is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NonFinite {
    /// It stops.
    #[default]
    Stop,
    /// It leaves the weights as they are, and goes on with the next batch.
    Skip,
}

/// How long to train, and in what portions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TrainConfig {
    /// Optimizer steps at most; 0, which a file cannot say, for as many as `epochs` are.
    #[serde(skip_serializing_if = "is_zero")]
    pub steps: u64,
    /// At most this many times through the data; 0 for no such limit.
    pub epochs: u64,
    /// The learning rate, before the schedule's factor.
    pub learning_rate: f64,
    /// Tokens in a batch; of pairs the longer side counts, so that a batch has no more than these on either side.
    pub batch_tokens: usize,
    /// Sequences in a batch, in place of `batch_tokens`; 0 for no such limit.
    pub batch_sentences: usize,
    /// Tokens in a chunk of a continuous text.
    pub length: usize,
    /// Whether the recurrent state at the end of a chunk is the initial state of the next one.
    pub carry_state: bool,
    /// Batches whose gradients are added before a step.
    pub accumulate: usize,
    /// Steps in which a step grows to its whole size.
    pub batch_warmup: u64,
    /// The share of it that the first one has.
    pub batch_start: f64,
    /// Steps in which the length of sequences grows to the whole.
    pub length_warmup: u64,
    /// The share that it begins with: of `length`, or, where each line is a sequence, of the batches.
    pub length_start: f64,
    /// Scheduled sampling: the probability with which a decoder reads its own token in place of the text's.
    pub scheduled_sampling: f64,
    /// Steps in which that grows linearly from 0.
    pub scheduled_sampling_steps: u64,
    /// Gradient clipping.
    pub clip: ClippingConfig,
    /// The weight of the guided alignment loss.
    pub guided_alignment: f64,
    /// How much of a running average of the weights remains after a step, such as 0.999: then it is the average that is
    /// validated, kept and written with. 0 for none.
    pub average: f64,
    /// `f32`, or `bf16`: matmuls that are large enough to gain round their operands, and their results, to bfloat16;
    /// weights, gradients and everything else are in f32 then too.
    pub precision: TrainPrecision,
    /// Into how many shares a batch is cut, one replica each; 0 for the number of this machine's cores. The bits of the
    /// result depend on it, so the resolved recipe holds the number: for the same bits on every machine, give it.
    pub shares: usize,
    /// Steps between two validations.
    pub validate_every: u64,
    /// Steps between two lines of metrics.
    pub log_every: u64,
    /// Steps between two checkpoints, besides those at validations; 0 for none.
    pub checkpoint_every: u64,
    /// Of these checkpoints, how many of the newest are kept, besides the best.
    pub keep: usize,
    /// Validations without a better one after which training ends; 0 for never.
    pub patience: u64,
    /// What these go by, where it is not `best_metric` alone: a validation is a better one if one of these improves.
    pub stop_metrics: Vec<String>,
    /// Metrics of the texts that are generated at a validation.
    pub validation_metrics: Vec<String>,
    /// Over how many examples these are at most.
    pub validation_examples: usize,
    /// Of these, how many have what is generated for them kept.
    pub validation_samples: usize,
    /// A program that measures the same texts: the metric `command`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_command: Option<PathBuf>,
    /// Seconds that it may take.
    pub metric_timeout: u64,
    /// What a better validation is better by: `loss`, or one of these metrics.
    pub best_metric: String,
    /// What to do at a step whose loss or gradient is not finite.
    pub non_finite: NonFinite,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 0,
            epochs: 0,
            learning_rate: 1e-3,
            batch_tokens: 2048,
            batch_sentences: 0,
            length: 128,
            carry_state: false,
            accumulate: 1,
            batch_warmup: 0,
            batch_start: 0.1,
            length_warmup: 0,
            length_start: 0.1,
            scheduled_sampling: 0.0,
            scheduled_sampling_steps: 0,
            clip: ClippingConfig::Norm(1.0),
            guided_alignment: 0.0,
            average: 0.0,
            precision: TrainPrecision::F32,
            shares: 0,
            validate_every: 500,
            log_every: 20,
            checkpoint_every: 0,
            keep: 1,
            patience: 0,
            stop_metrics: Vec::new(),
            validation_metrics: Vec::new(),
            validation_examples: 200,
            validation_samples: 3,
            metric_command: None,
            metric_timeout: 600,
            best_metric: Self::LOSS.to_owned(),
            non_finite: NonFinite::Stop,
        }
    }
}

impl TrainConfig {
    /// Optimizer steps where neither their number nor that of epochs is given.
    pub const STEPS: u64 = 10_000;

    /// The `best_metric` that is the validation loss.
    pub const LOSS: &str = "loss";

    /// The `best_metric` that `metric_command` measures.
    pub const COMMAND: &str = "command";

    /// The most optimizer steps that there may be.
    pub fn most_steps(&self) -> u64 {
        match (self.steps, self.epochs) {
            (0, 0) => Self::STEPS,
            (0, _) => u64::MAX,
            (steps, _) => steps,
        }
    }

    /// The first metric of the texts that the model generates at a validation, if there is one.
    pub fn text_metric(&self) -> Option<&str> {
        let command = self.metric_command.as_ref().map(|_| Self::COMMAND);
        self.validation_metrics.first().map(String::as_str).or(command)
    }

    /// The share of a step's batches that it has.
    pub fn batch_ramp(&self) -> Ramp {
        Ramp { steps: self.batch_warmup, start: self.batch_start }
    }

    /// The share of the length.
    pub fn length_ramp(&self) -> Ramp {
        Ramp { steps: self.length_warmup, start: self.length_start }
    }

    /// The probability of scheduled sampling in a step.
    pub fn sampling(&self, step: u64) -> f64 {
        self.scheduled_sampling * Ramp { steps: self.scheduled_sampling_steps, start: 0.0 }.share(step)
    }

    /// How many steps of whole batches those of a training of so many steps are: with a carried state, a chunk that is shorter makes a
    /// smaller batch too.
    pub fn whole_steps(&self, steps: u64) -> f64 {
        match self.carry_state {
            true => self.length_ramp().whole_steps(steps),
            false => self.batch_ramp().whole_steps(steps),
        }
    }

    pub(super) fn validate_metrics(&self, measures: &[&str]) -> Result<(), String> {
        let Self { validation_metrics: metrics, metric_command: command, best_metric, stop_metrics, .. } = self;
        for (key, names) in [("validation_metrics", metrics), ("stop_metrics", stop_metrics)] {
            if let Some(twice) =
                names.iter().enumerate().find_map(|(i, name)| names[..i].contains(name).then_some(name))
            {
                return Err(format!("train.{key}: {twice} is there twice. Leave one out"));
            }
        }
        let is_measured = |key: &str, name: &String| match name.as_str() {
            Self::LOSS => Ok(()),
            Self::COMMAND if command.is_some() => Ok(()),
            Self::COMMAND => Err(format!("train.{key} = \"command\": expected a train.metric_command")),
            _ if metrics.contains(name) || measures.contains(&&**name) => Ok(()),
            _ => {
                let more = command.is_some().then_some(Self::COMMAND);
                let more = more.iter().chain(measures).map(|name| format!("{name:?}, ")).collect::<String>();
                Err(format!(
                    "train.{key} = {name:?}: expected \"loss\", {more}or one of train.validation_metrics = {metrics:?}"
                ))
            }
        };
        is_measured("best_metric", best_metric)?;
        let mut stops = stop_metrics.iter().enumerate();
        stops.try_for_each(|(i, name)| is_measured(&format!("stop_metrics[{i}]"), name))
    }
}

fn is_zero(steps: &u64) -> bool {
    *steps == 0
}
