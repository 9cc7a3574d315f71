use crate::run_folder::layout::{DATA, LENGTHS, write};
use crate::{Error, Recipe};
use descant_models::ModelKind;
use descant_text::{Corpus, Form, Source, read_file};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The lengths of the training texts in tokens, without BOS and EOS: kept in the run folder, as they limit what the model
/// generates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingLengths {
    /// The context length of a language model in training, BOS included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<usize>,
    /// Whether a language model was trained on prompts with responses.
    #[serde(default)]
    pub prompts: bool,
    /// The longest source.
    pub longest_source: usize,
    /// The longest target: of prompts the longest response, of lines the longest line.
    pub longest_target: usize,
    /// The largest ratio of a target to its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

impl TrainingLengths {
    /// The lengths of a run's encoded training text.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn by(recipe: &Recipe, text: &Source, run: &Path) -> Result<Self, Error> {
        let is_language_model = recipe.model.kind == ModelKind::LanguageModel;
        let lengths = Corpus::report_in(&run.join(DATA).join("train"))?.unwrap_or_default().lengths;
        let length = |tokens: u64| usize::try_from(tokens).unwrap_or(usize::MAX);
        let context = match text.form() {
            Form::Continuous => recipe.train.length,
            // With BOS.
            _ => length(lengths.longest_sequence).saturating_add(1),
        };
        Ok(Self {
            context: is_language_model.then_some(context),
            prompts: is_language_model && text.has_pairs(),
            longest_source: length(lengths.longest_source),
            longest_target: length(lengths.longest_target),
            ratio: lengths.ratio(),
        })
    }

    /// The larger of each: of a training and of the model that it was initialised from.
    #[must_use]
    pub fn or(self, before: Self) -> Self {
        Self {
            context: self.context.max(before.context),
            prompts: self.prompts,
            longest_source: self.longest_source.max(before.longest_source),
            longest_target: self.longest_target.max(before.longest_target),
            ratio: [self.ratio, before.ratio].into_iter().flatten().reduce(f64::max),
        }
    }

    /// Writes them into a run folder.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, run: &Path) -> Result<(), Error> {
        let path = run.join(LENGTHS);
        let json = serde_json::to_vec(self).map_err(|error| Error::io("write", &path, error.into()))?;
        write(&path, &json)
    }

    /// Those of a run; an imported model has none.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn load(run: &Path) -> Result<Option<Self>, Error> {
        let path = run.join(LENGTHS);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = read_file(&path).map_err(|error| Error::io("read", &path, error))?;
        let damaged = |error: serde_json::Error| Error::Run {
            path: path.clone(),
            reason: format!(
                "it is damaged ({error}). Bring back the one that the run was trained with, such as from a copy of it"
            ),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }
}
