//! Draft models for speculative decoding.

use crate::{Error, Trained};
use descant_generate::DraftModel;
use descant_models::LayerKind;
use std::path::Path;
use std::sync::Arc;

impl Trained {
    /// Loads a run, or one of its checkpoints, as the draft model of this one, for
    /// [`DecodingOptions::draft_model`](descant_generate::DecodingOptions::draft_model).
    ///
    /// # Errors
    /// As [`Trained::load`]; where its tokenizers are others, or one of the two decoders is recurrent.
    pub fn load_draft_model(&self, path: &Path) -> Result<Arc<DraftModel>, Error> {
        let draft = Self::load(path)?;
        let of = self.run().display();
        let is_same = draft.is_language_model() == self.is_language_model()
            && draft.tokenizers.sizes() == self.tokenizers.sizes()
            && draft.tokenizers.is_same(&self.tokenizers)?;
        let reason = match (self.recipe.model.decoder, draft.recipe.model.decoder) {
            (LayerKind::Recurrent, _) => {
                format!(
                    "{of} has a recurrent decoder, which cannot take back tokens that it has read: it has no use for a draft model"
                )
            }
            (_, LayerKind::Recurrent) => {
                "its decoder is recurrent, and cannot take back tokens that it has read. A draft model is a Transformer"
                    .to_owned()
            }
            // Where a model reads sources, it must read all that the other one does. Of a long text, a language model reads the end.
            _ if !self.is_language_model()
                && draft.model.max_length().is_some_and(|own| self.model.max_length().is_none_or(|of| own < of)) =>
            {
                format!(
                    "it has fewer positions than {of}, and cannot read all of its sources. A draft model has as many"
                )
            }
            _ if !is_same => {
                format!("its tokenizers are not those of {of}. A draft model is trained with the same ones")
            }
            _ => {
                let (config, parameters) = (draft.recipe.model, draft.parameters);
                return Ok(Arc::new(DraftModel { config, model: draft.model, parameters }));
            }
        };
        Err(Error::Run { path: path.to_owned(), reason })
    }
}
