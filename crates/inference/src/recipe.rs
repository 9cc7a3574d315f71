//! Recipes: a training as a TOML file. [`keys`] defines each key, `conflicts` lists the keys that exclude each other.

mod check;
mod conflicts;
mod data_config;
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

pub use data_config::DataConfig;
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
use descant_text::{ControlConfig, SpecialTokens, TokenizerConfig};
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
