//! Imports models: which reader a place is for, and the run that is made of what that reads.

use crate::folder::{CONFIG, is_model, read_json};
use crate::foreign::{Foreign, Layout};
use crate::{Error, Family, ctranslate2, gguf, recurrent, transformers};
use descant_autograd::Parameters;
use descant_inference::{Trained, is_gguf};
use descant_models::ModelConfig;
use descant_text::Message;
use std::path::Path;

impl Foreign {
    /// Reads a folder of `transformers`, one of PyTorch's tensors, one of CTranslate2, or a file of llama.cpp.
    ///
    /// # Errors
    /// Where it is neither, not whole, of a family that is not known, or of numbers that no run may have.
    pub fn open(place: &Path) -> Result<Self, Error> {
        let foreign = Self::read(place)?;
        // Nothing would open the run.
        let says = if place.is_dir() { place.join(CONFIG) } else { place.to_owned() };
        foreign.recipe.validate().map_err(|reason| Error::folder(&says, reason))?;
        Ok(foreign)
    }

    fn read(place: &Path) -> Result<Self, Error> {
        if place.is_file() && is_gguf(place) {
            return gguf::open(place);
        }
        if ctranslate2::is_there(place) {
            return ctranslate2::open(place);
        }
        is_model(place)?;
        let config = read_json(&place.join(CONFIG))?;
        match config.get("kind") {
            Some(_) if config.get("model_type").is_none() => recurrent::open(place, config),
            _ => transformers::open(place, &config),
        }
    }

    /// Makes a run of it, which can generate, be evaluated, and be the `init` of a training. Returns notes for the user.
    ///
    /// # Errors
    /// Where its weights are not those that it describes, or the run cannot be written.
    pub fn save(self, run: &Path) -> Result<Vec<String>, Error> {
        self.save_with(run, |_, _, _| Ok(()))
    }

    /// The same with its weights changed, by what knows their names in its family.
    pub(crate) fn save_with(
        mut self,
        run: &Path,
        change: impl FnOnce(Option<Family>, &ModelConfig, &mut Parameters) -> Result<(), Error>,
    ) -> Result<Vec<String>, Error> {
        let (family, mut parameters) = match self.layout {
            Layout::Transformers(family) | Layout::Gguf(family) => {
                let own = self.weights.of_family(family, &mut self.recipe, &self.tokenizers, &mut self.notes)?;
                (Some(family), own)
            }
            Layout::PyTorch => (None, self.weights.of_pytorch(&self.recipe, &self.tokenizers)?),
            Layout::CTranslate2 => {
                let model = &self.recipe.model;
                let positions = ctranslate2::positions(model.transformer().max_length, model.hidden);
                let given =
                    vec![("encoder.position.weight", positions.clone()), ("decoder.position.weight", positions)];
                (None, self.weights.of_names(ctranslate2::tensor_names(model), given, &self.recipe, &self.tokenizers)?)
            }
        };
        change(family, &self.recipe.model, &mut parameters)?;
        let said = [Message::new("user", "?")];
        if let Some(Err(reason)) = self.chat.as_ref().map(|chat| chat.prompt(&said)) {
            let what = "the chat template cannot write a conversation, so the model cannot be talked to as it is";
            self.notes.push(format!("{what}: {reason}"));
        }
        Trained::save(&self.recipe, &self.tokenizers, &parameters, self.chat.as_ref(), run)?;
        Ok(self.notes)
    }
}

/// Makes a run of a model from elsewhere. Returns notes for the user.
///
/// # Errors
/// As [`Foreign::open`] and [`Foreign::save`].
pub fn import(place: &Path, run: &Path) -> Result<Vec<String>, Error> {
    Foreign::open(place)?.save(run)
}
