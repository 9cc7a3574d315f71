//! The table `[data]`.

use super::{Files, Task};
use descant_text::{Column, Columns, FilterConfig, Mixture, NoiseConfig, Shuffle};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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

    /// How much of texts span corruption leaves out, and how long its spans are on average; none of another task.
    pub fn span_corruption(&self) -> Option<[f64; 2]> {
        let spans = [self.corruption_rate.unwrap_or(0.15), self.mean_span.unwrap_or(3.0)];
        (self.task == Task::SpanCorruption).then_some(spans)
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

fn tenth() -> f64 {
    0.1
}

fn max_length() -> usize {
    1000
}
