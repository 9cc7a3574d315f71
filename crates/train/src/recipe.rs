//! Recipes: what a training is, as TOML. What each key is stands in [`keys`], what they mean together in `conflicts`.

mod conflicts;
mod decide;
mod family;
pub mod keys;
mod read;
#[cfg(test)]
mod tests;

pub(crate) use decide::Look;

use crate::{DistillConfig, FinetuneConfig, GenerationConfig};
use descant_kernels::MatmulPrecision;
use descant_models::{EmbeddingLoss, LossConfig, ModelConfig, ModelKind, Tie};
use descant_optim::{ClippingConfig, OptimizerConfig, ScheduleConfig};
use descant_tensor::Brief;
use descant_text::{SpecialTokens, TokenizerConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

/// All of a training, as a TOML file says it. Every key but the data and the kind of model has a default; the resolved
/// recipe in the run folder writes all of them out.
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
    /// What is minimised.
    #[serde(default)]
    pub loss: LossConfig,
    /// The optimizer.
    #[serde(default = "adamw")]
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes.
    #[serde(default = "constant")]
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
pub struct DataConfig {
    /// One file or two parallel ones. One file is a text for a language model, and tab-separated pairs for an
    /// encoder-decoder; as `.json`, `.jsonl` or `.ndjson`, objects one a line or in a list: pairs for either, of `prompt` and
    /// `completion` or of `instruction`, `input` and `output`; `messages`; or a `text` each. Of pairs a language model reads
    /// the one side as a prompt, and learns to write the other. `.gz` and `.zst` are read as they are.
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
    /// The columns of source and target in a tab-separated file, from 0, among perhaps others. Without them there have to
    /// be these two alone for an encoder-decoder, and a language model reads a file as lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<[usize; 2]>,
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
}

impl DataConfig {
    /// These files to train on, everything else as by default.
    pub(crate) fn of(train: Files) -> Self {
        Self {
            train,
            validation: None,
            validation_share: tenth(),
            stream: false,
            columns: None,
            chat_template: None,
            shared_vocabulary: false,
            max_length: max_length(),
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

/// One file or two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected the name of a file, or two names in a list")]
pub enum Files {
    /// One.
    One(PathBuf),
    /// Source and target.
    Two([PathBuf; 2]),
}

/// What the operands of products are.
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

/// How long to train, and in what portions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
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
    /// Batches whose gradients are added before a step.
    pub accumulate: usize,
    /// Gradient clipping.
    pub clip: ClippingConfig,
    /// How much of a running average of the weights remains after a step, such as 0.999: then it is the average that is
    /// validated, kept and written with. 0 for none.
    pub average: f64,
    /// `f32`, or `bf16`: products that are large enough to gain round their operands, and what comes out, to bfloat16;
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
    /// Validations without a better one after which training ends; 0 for never.
    pub patience: u64,
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
            accumulate: 1,
            clip: ClippingConfig::Norm(1.0),
            average: 0.0,
            precision: TrainPrecision::F32,
            shares: 0,
            validate_every: 500,
            log_every: 20,
            checkpoint_every: 0,
            patience: 0,
        }
    }
}

impl TrainConfig {
    /// Optimizer steps where neither their number nor that of epochs is given.
    pub const STEPS: u64 = 10_000;

    /// The most optimizer steps that there may be.
    pub(crate) fn most_steps(&self) -> u64 {
        match (self.steps, self.epochs) {
            (0, 0) => Self::STEPS,
            (0, _) => u64::MAX,
            (steps, _) => steps,
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
            bench: None,
            tokenizer: TokenizerConfig::default(),
            target_tokenizer: None,
            model,
            loss: LossConfig::default(),
            optimizer: adamw(),
            schedule: constant(),
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

    /// The recipe as TOML: every key that acts in it, defaults written out, and of the others those that have a value of
    /// their own.
    ///
    /// # Errors
    /// Where a value has no form in TOML.
    pub fn to_toml(&self) -> Result<String, String> {
        self.written(true)
    }

    /// The same recipe with every key that does not act in it as by default: what its text in a run folder says.
    pub(crate) fn settled(self) -> Result<Self, String> {
        let settled: Self = toml::from_str(&self.written(false)?).map_err(|error| error.message().to_owned())?;
        Ok(Self { source: self.source, ..settled })
    }

    fn written(&self, others: bool) -> Result<String, String> {
        let as_table = |recipe: &Self| toml::Table::try_from(recipe).map_err(|error| error.to_string());
        let (all, defaults) = (as_table(self)?, as_table(&self.defaults())?);
        fn part<'a>(table: Option<&'a toml::Table>, name: &str) -> Option<&'a toml::Table> {
            table?.get(name)?.as_table()
        }
        let mut text = "# Each key is explained by `descant recipe KEY`.\n".to_owned();
        let mut tables: Vec<&str> = Vec::new();
        for (table, _) in keys::KEYS.iter().map(keys::Key::parts) {
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        let of_target =
            tables.iter().filter(|table| table.starts_with("tokenizer")).map(|table| format!("target_{table}"));
        for place in tables.iter().map(|table| (*table).to_owned()).chain(of_target) {
            let inner = |all| place.split('.').filter(|name| !name.is_empty()).fold(Some(all), part);
            let Some(table) = inner(&all) else { continue };
            let own = place.strip_prefix("target_").unwrap_or(&place);
            let lines = keys::KEYS.iter().filter(|key| key.parts().0 == own).filter_map(|key| {
                let name = key.parts().1;
                let value = table.get(name)?;
                let is_default = inner(&defaults).is_some_and(|defaults| defaults.get(name) == Some(value));
                (self.has_acting(key.name) || others && !is_default).then(|| format!("{name} = {value}"))
            });
            let lines: Vec<String> = lines.collect();
            let header = if place.is_empty() { String::new() } else { format!("\n[{place}]\n") };
            if !lines.is_empty() || !place.contains('.') {
                let _ = writeln!(text, "{header}{}", lines.join("\n"));
            }
        }
        Ok(text)
    }

    /// One with the same tables and kinds, everything else as by default.
    fn defaults(&self) -> Self {
        let transformer = self.model.transformer.as_ref().map(|_| descant_nn::TransformerConfig::default());
        let data = self.data.as_ref().map(|data| DataConfig::of(data.train.clone()));
        Self { data, ..Self::of(ModelConfig { transformer, ..ModelConfig::new(self.model.kind) }) }
    }

    /// What is wrong with the recipe, by the name of its file.
    pub(crate) fn wrong(&self, reason: impl Into<String>) -> crate::Error {
        let path = self.source.path.clone().unwrap_or_else(|| PathBuf::from("the recipe"));
        crate::Error::Recipe { path, reason: reason.into() }
    }

    /// That every value is in its range.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let train = &self.train;
        let positive = |key: &str, value: u64| match value {
            0 => Err(format!("{key} = 0: expected 1 or more")),
            _ => Ok(()),
        };
        if train.epochs > 1_000_000_000 {
            return Err(format!("train.epochs = {}: expected a number from 0 to 1000000000", train.epochs));
        }
        self.generation.validate()?;
        positive("train.batch_tokens", train.batch_tokens as u64)?;
        if !(1..=1 << 20).contains(&train.length) {
            return Err(format!("train.length = {}: expected a number from 1 to 1048576", train.length));
        }
        if !(1..=1 << 16).contains(&train.accumulate) {
            return Err(format!("train.accumulate = {}: expected a number from 1 to 65536", train.accumulate));
        }
        positive("train.validate_every", train.validate_every)?;
        positive("train.log_every", train.log_every)?;
        if !(train.learning_rate > 0.0 && train.learning_rate.is_finite()) {
            return Err(format!("train.learning_rate = {}: expected a number above 0", Brief(train.learning_rate)));
        }
        if !(0.0..1.0).contains(&train.average) {
            return Err(format!("train.average = {}: expected a number from 0 to below 1", Brief(train.average)));
        }
        if train.shares > 1024 {
            return Err(format!("train.shares = {}: expected 1024 or fewer", train.shares));
        }
        if let Some(data) = &self.data {
            positive("data.max_length", data.max_length as u64)?;
            if data.stream && self.model.kind == ModelKind::EncoderDecoder {
                return Err("data.stream = true: one continuous text is for kind = \"language-model\"".to_owned());
            }
            if let Some(most) = self.model.max_length().filter(|&most| data.stream && train.length > most) {
                let length = train.length;
                return Err(format!("train.length = {length}: expected at most model.transformer.max_length = {most}"));
            }
            if data.stream && (data.columns.is_some() || matches!(data.train, Files::Two(_))) {
                return Err("data.stream = true: one continuous text has no columns, and lies in one file".to_owned());
            }
            if data.shared_vocabulary && self.target_tokenizer.is_some() {
                return Err("data.shared_vocabulary = true: expected no [target_tokenizer] beside it".to_owned());
            }
            if !(0.0..1.0).contains(&data.validation_share) {
                let share = data.validation_share;
                return Err(format!("data.validation_share = {}: expected a number from 0 to below 1", Brief(share)));
            }
        }
        if let Some(BenchConfig { vocabulary, batch, length }) = self.bench {
            let sizes = [("vocabulary", vocabulary, 1_000_000), ("batch", batch, 1 << 20), ("length", length, 1 << 20)];
            for (key, size, most) in sizes {
                if !(1..=most).contains(&size) {
                    return Err(format!("bench.{key} = {size}: expected a number from 1 to {most}"));
                }
            }
        }
        // Before tokenizers are trained, which may take minutes.
        self.model.validate_sizes()?;
        self.tokenizer.validate().map_err(|reason| format!("tokenizer.{reason}"))?;
        if let Some(tokenizer) = &self.target_tokenizer {
            tokenizer.validate().map_err(|reason| format!("target_tokenizer.{reason}"))?;
        }
        if let LossConfig::CrossEntropy { smoothing, r_drop, class_weights, .. } = &self.loss {
            if !(0.0..=1e6).contains(r_drop) {
                return Err(format!("loss.consistency = {}: expected a number from 0 to 1000000", Brief(*r_drop)));
            }
            if *r_drop > 0.0 && !self.model.has_dropout() {
                return Err("loss.consistency: without dropout both passes are the same. Set model.dropout".to_owned());
            }
            if *r_drop > 0.0 && self.distill.is_some() {
                return Err("loss.consistency: expected no [distill] beside it".to_owned());
            }
            if self.model.output_soft_cap.is_some() && (*r_drop > 0.0 || self.distill.is_some()) {
                return Err("model.output_soft_cap: expected no loss.consistency and no [distill] beside it".to_owned());
            }
            if !(0.0..1.0).contains(smoothing) {
                return Err(format!("loss.smoothing = {}: expected a number from 0 to below 1", Brief(*smoothing)));
            }
            if let Some((token, weight)) = class_weights.iter().find(|(_, weight)| !(0.0..=1e6).contains(*weight)) {
                return Err(format!("loss.class_weights.{token:?} = {}: expected a number from 0", Brief(*weight)));
            }
        }
        if let LossConfig::Embedding { measure } = self.loss {
            if self.model.tie == Tie::Output {
                return Err("model.tie = \"output\": this loss has no output projection to tie".to_owned());
            }
            if measure == EmbeddingLoss::Vmf && self.model.embedding(self.model.decoder) < 2 {
                return Err("model.embedding = 1: expected 2 or more for loss.measure = \"vmf\"".to_owned());
            }
        }
        if let Some(finetune) = &self.finetune {
            finetune.validate()?;
        }
        if let Some(distill) = &self.distill {
            distill.validate()?;
            if matches!(self.loss, LossConfig::Embedding { .. }) {
                return Err("distill: a teacher's scores need loss.kind = \"cross-entropy\"".to_owned());
            }
        }
        self.optimizer.validate()?;
        // A training by epochs has a number of steps that only its texts tell; the schedule of one that a setting makes
        // shorter than the file says is shortened, and so it is when its run is read.
        match train.epochs == 0 && !self.is_shortened() {
            true => self.schedule.validate(train.most_steps())?,
            false => self.schedule.validate(u64::MAX)?,
        }
        train.clip.validate()
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

fn adamw() -> OptimizerConfig {
    OptimizerConfig::default()
}

fn constant() -> ScheduleConfig {
    ScheduleConfig::default()
}
