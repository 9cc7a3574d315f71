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
mod train;
mod validate;
mod vectors;

pub use distillation::DistillConfig;
pub use files::{Files, is_pattern, is_there};
pub use schema::schema;
pub use task::Task;
pub use train::{NonFinite, TrainConfig, TrainPrecision};
pub use vectors::VectorsConfig;

use crate::FinetuneConfig;
use descant_generate::GenerationConfig;
use descant_hyperparameters::{OptimizerConfig, ScheduleConfig};
use descant_models::{LossConfig, ModelConfig, ModelKind};
use descant_text::{
    Column, Columns, ControlConfig, FilterConfig, Mixture, NoiseConfig, Shuffle, SpecialTokens, TokenizerConfig,
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

fn one() -> u64 {
    1
}

fn tenth() -> f64 {
    0.1
}

fn max_length() -> usize {
    1000
}
