//! Recipes: a training as a TOML file. [`keys`] defines each key, `conflicts` lists the keys that exclude each other.

mod check;
mod conflicts;
pub mod difference;
mod distillation;
mod family;
mod files;
pub mod keys;
mod overrides;
mod paths;
mod read;
mod resolved;
mod schema;
mod suggest;
mod task;
#[cfg(test)]
mod tests;
mod validate;
mod vectors;

pub use distillation::DistillConfig;
pub use files::{Files, is_pattern, is_there};
pub use schema::schema;
pub use task::Task;
pub use vectors::VectorsConfig;

use crate::FinetuneConfig;
use descant_generate::GenerationConfig;
use descant_hyperparameters::{ClippingConfig, OptimizerConfig, ScheduleConfig};
use descant_kernels::MatmulPrecision;
use descant_models::{LossConfig, ModelConfig, ModelKind};
use descant_text::{
    Column, Columns, ControlConfig, FilterConfig, Mixture, NoiseConfig, Ramp, Shuffle, SpecialTokens, TokenizerConfig,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A training, as a TOML file describes it. Every key but the data and the kind of model has a default; the resolved
/// recipe in the run folder has all of them written out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What everything random is drawn from.
    #[serde(default = "one")]
    pub seed: u64,
    /// A run whose weights and tokenizers training starts from, rather than from fresh ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// What of the model is trained; by default, everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finetune: Option<FinetuneConfig>,
    /// A trained model to learn from, beside the texts; its tokenizers are the recipe's then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distill: Option<DistillConfig>,
    /// The texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataConfig>,
    /// The control attributes that the texts have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlConfig>,
    /// The sizes of a recipe without texts, of which only the speed is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bench: Option<BenchConfig>,
    /// How text becomes ids; of both sides, where no other is given for the target.
    #[serde(default)]
    pub tokenizer: TokenizerConfig,
    /// How the target side's text becomes ids, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_tokenizer: Option<TokenizerConfig>,
    /// The architecture.
    pub model: ModelConfig,
    /// What its embeddings begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<VectorsConfig>,
    /// What is minimised.
    #[serde(default)]
    pub loss: LossConfig,
    /// The optimizer.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// How long, and in what portions.
    #[serde(default)]
    pub train: TrainConfig,
    /// How texts are written by default.
    #[serde(default)]
    pub generation: GenerationConfig,
    /// Where it was read from; not part of its content.
    #[serde(skip)]
    pub source: RecipeSource,
}

/// Where a recipe comes from, and which of its keys were set explicitly. All are equal, so that recipes compare by content.
#[derive(Clone, Debug, Default)]
pub struct RecipeSource {
    /// Its file.
    pub path: Option<PathBuf>,
    /// The keys that have a value in the file or in an override.
    pub explicit: BTreeSet<String>,
    /// The keys of overrides (`--set`).
    pub overrides: BTreeSet<String>,
    /// Keys that conflict, and are ignored.
    pub notes: Vec<String>,
    /// Where the texts can be downloaded, if a comment says so.
    pub url: Option<String>,
    /// Whether it is the resolved recipe of a run.
    pub resolved: bool,
}

impl PartialEq for RecipeSource {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Where the texts are, and how they are cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DataConfig {
    /// One file or two parallel ones; or several one after the other. One file is a text for a language model, and tab-separated pairs
    /// for an encoder-decoder; as `.json`, `.jsonl` or `.ndjson`, objects one a line or in a list: pairs for either, of `prompt` or
    /// `source` and `completion` or `target`, or of `instruction`, `input` and `output`; `messages`; or a `text` each; as `.csv`, rows
    /// under a header of the same names; as `.parquet`, rows of columns of these names. Of pairs a language model reads the one side as a prompt, and learns to write the other. `.gz`
    /// and `.zst` are read as they are.
    pub train: Files,
    /// The same for validation; without it, `validation_share` of the training text is held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Files>,
    /// The share of the training text, from its end, that is held out where there is no `validation`.
    #[serde(default = "tenth")]
    pub validation_share: f64,
    /// Whether a language model reads one continuous text, cut into chunks, rather than lines.
    #[serde(default)]
    pub stream: bool,
    /// The columns of source and target among perhaps others, or that of a text: by numbers from 0 of a table without a header, or by the
    /// names that the header of a table has, or the keys of objects. Without them a tab-separated file has to have two alone for an
    /// encoder-decoder, and a language model reads it as lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Columns>,
    /// A Jinja file that makes texts of messages, as Hugging Face's tokenizers have them. Pairs become what a user says
    /// and what the assistant answers. By default, that of the run `init`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<PathBuf>,
    /// Whether source and target have one vocabulary.
    #[serde(default)]
    pub shared_vocabulary: bool,
    /// Pairs and lines of more tokens on either side are left out, and so are those for which a model has no positions.
    #[serde(default = "max_length")]
    pub max_length: usize,
    /// Whether longer texts without sources are cut into pieces instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// What is learned of texts.
    #[serde(default, skip_serializing_if = "Task::is_plain")]
    pub task: Task,
    /// Of span corruption, the share of the tokens that are left out; by default 0.15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corruption_rate: Option<f64>,
    /// How long spans are on average; by default 3 tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_span: Option<f64>,
    /// Where examples have the weight of their loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_column: Option<Column>,
    /// Where examples have the alignment of their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alignment_column: Option<Column>,
    /// How much is drawn of each of the names of `train`, in proportion to these numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// The same in proportion to the number of their examples to the power of one over this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// How the training text is shuffled; none in recipes of runs from before there was a choice, which go on by blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffle: Option<Shuffle>,
    /// Which examples of the training text are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterConfig>,
    /// Noise on the sources of the training text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseConfig>,
    /// BPE-dropout on the training text: the probability with which a merge is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpe_dropout: Option<f64>,
    /// Subword regularisation with a unigram tokenizer: the power of the probabilities that segmentations are drawn by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unigram_sampling: Option<f64>,
}

impl DataConfig {
    /// How the corpora of `train` are mixed.
    pub fn mixture(&self) -> Option<Mixture> {
        let weights = self.weights.clone().map(Mixture::Weights);
        weights.or(self.temperature.map(Mixture::Temperature))
    }

    /// These files to train on, everything else as by default.
    pub fn of(train: Files) -> Self {
        Self {
            train,
            validation: None,
            validation_share: tenth(),
            stream: false,
            columns: None,
            chat_template: None,
            shared_vocabulary: false,
            max_length: max_length(),
            cut: false,
            task: Task::Plain,
            corruption_rate: None,
            mean_span: None,
            weight_column: None,
            alignment_column: None,
            weights: None,
            temperature: None,
            shuffle: Some(Shuffle::Exact),
            filter: None,
            noise: None,
            bpe_dropout: None,
            unigram_sampling: None,
        }
    }
}

/// Sizes in place of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchConfig {
    /// Entries of the vocabulary, of either side.
    pub vocabulary: usize,
    /// Sequences in a batch.
    pub batch: usize,
    /// Tokens in each.
    pub length: usize,
}

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
    /// Metrics of the texts that are generated at a validation.
    pub validation_metrics: Vec<String>,
    /// Over how many examples these are at most.
    pub validation_examples: usize,
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
            validation_metrics: Vec::new(),
            validation_examples: 200,
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

    fn validate_metrics(&self, measures: &[&str]) -> Result<(), String> {
        let Self { validation_metrics: metrics, metric_command: command, best_metric: best, .. } = self;
        if let Some(twice) =
            metrics.iter().enumerate().find_map(|(i, name)| metrics[..i].contains(name).then_some(name))
        {
            return Err(format!("train.validation_metrics: {twice} is there twice. Leave one out"));
        }
        match best.as_str() {
            Self::LOSS => Ok(()),
            Self::COMMAND if command.is_some() => Ok(()),
            Self::COMMAND => Err("train.best_metric = \"command\": expected a train.metric_command".to_owned()),
            _ if metrics.contains(best) || measures.contains(&&**best) => Ok(()),
            _ => {
                let of_loss = measures.iter().map(|name| format!("{name:?}, ")).collect::<String>();
                Err(format!(
                    "train.best_metric = {best:?}: expected \"loss\", {of_loss}or one of train.validation_metrics = {metrics:?}"
                ))
            }
        }
    }
}

impl Recipe {
    /// One of this model, without texts, everything else as by default.
    pub fn of(model: ModelConfig) -> Self {
        Self {
            seed: one(),
            init: None,
            finetune: None,
            distill: None,
            data: None,
            control: None,
            bench: None,
            tokenizer: TokenizerConfig::default(),
            target_tokenizer: None,
            model,
            vectors: None,
            loss: LossConfig::default(),
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            train: TrainConfig::default(),
            generation: GenerationConfig::default(),
            source: RecipeSource::default(),
        }
    }

    /// The special ids of the source's and the target's tokenizer.
    pub fn special(&self) -> [SpecialTokens; 2] {
        let target = self.target_tokenizer.as_ref().unwrap_or(&self.tokenizer);
        [&self.tokenizer, target].map(|tokenizer| tokenizer.special.clone().unwrap_or_default())
    }

    /// Whether a language model learns from a text that has neither columns nor objects.
    pub fn reads_plain_text(&self) -> bool {
        let plain = |data: &DataConfig| data.train.is_plain() && data.columns.is_none();
        self.model.kind == ModelKind::LanguageModel && self.data.as_ref().is_some_and(plain)
    }

    /// Whether it is for the text to tell that it is continuous.
    pub fn leaves_stream_open(&self) -> bool {
        let said = self.is_explicit("data.stream") || !self.is_explicit("data.train");
        let chat = self.data.as_ref().is_some_and(|data| data.chat_template.is_some());
        !said && !chat && self.reads_plain_text()
    }

    /// What is wrong with the recipe, by the name of its file.
    pub fn wrong(&self, reason: impl Into<String>) -> crate::Error {
        let path = self.source.path.clone().unwrap_or_else(|| PathBuf::from("the recipe"));
        crate::Error::Recipe { path, reason: reason.into() }
    }
}

fn is_zero(steps: &u64) -> bool {
    *steps == 0
}

fn one() -> u64 {
    1
}

fn tenth() -> f64 {
    0.1
}

fn max_length() -> usize {
    1000
}
