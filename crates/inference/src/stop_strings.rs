//! Texts that end the text in which they appear (`stop_strings`).

use crate::Trained;
use crate::continuation::{BEFORE, continuation};
use descant_generate::{GenerationConfig, StopCondition};
use std::sync::Arc;

/// The most tokens that say nothing, such as special ones, among the last of a text.
const EMPTY: usize = 8;

impl Trained {
    /// Whether a text has one of the stop strings, by its last tokens: a new one can only complete what they begin. The text of a language
    /// model follows its prompt, which is none of it.
    pub(crate) fn stop_condition(&self, config: &GenerationConfig) -> Option<StopCondition> {
        let texts = config.stop_strings.clone().filter(|texts| !texts.is_empty())?;
        let most = texts.iter().map(String::len).max().unwrap_or(0) + EMPTY;
        let (tokenizer, has_prompt) = (self.tokenizers.target.clone(), self.is_language_model());
        Some(StopCondition(Arc::new(move |prompt, tokens| {
            let (first, last) = tokens.split_at(tokens.len().saturating_sub(most));
            let before = if first.is_empty() && has_prompt { prompt } else { first };
            let last = continuation(&tokenizer, &before[before.len().saturating_sub(BEFORE)..], last);
            last.is_ok_and(|last| texts.iter().any(|text| last.contains(text)))
        })))
    }
}
