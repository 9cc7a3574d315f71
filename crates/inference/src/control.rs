//! Control attributes at generation.

use crate::{Error, Trained};
use descant_text::{ControlConfig, Text};
use std::collections::BTreeMap;

/// Values of control attributes, by the attributes' names.
pub type Control = BTreeMap<String, String>;

impl Trained {
    /// A source or a prompt with these attributes, as [`Trained::encode`] reads it.
    ///
    /// # Errors
    /// Where the model knows no such attribute, or no such value of it: with those that it knows.
    pub fn control(&self, text: impl Into<Text>, values: &Control) -> Result<Text, Error> {
        let text = text.into();
        if values.is_empty() {
            return Ok(text);
        }
        let wrong = |reason: String| Error::Run { path: self.run().to_owned(), reason };
        let none = || wrong("it has no control attributes: its recipe has no [control]".to_owned());
        let tokens = self.recipe.control.as_ref().ok_or_else(none)?.select(values);
        Ok(text.with_attributes(tokens.map_err(wrong)?))
    }

    /// The control tokens of its attributes among those that it could write.
    pub(crate) fn control_ids(&self) -> Vec<u32> {
        let tokens = self.recipe.control.as_ref().map_or_else(Vec::new, ControlConfig::tokens);
        tokens.iter().filter_map(|token| self.tokenizers.target.id(token)).collect()
    }
}
