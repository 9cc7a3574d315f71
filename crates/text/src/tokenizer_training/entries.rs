//! The entries of a vocabulary.

use crate::tokenizer::{SPECIAL, TokenizerConfig};
use serde_json::{Map, Value, json};
use tokenizers::{AddedToken, ModelWrapper, Result};

pub(super) fn special() -> Vec<AddedToken> {
    SPECIAL.iter().map(|&token| AddedToken::from(token, true)).collect()
}

pub(super) fn with_special(tokens: Vec<String>) -> impl Iterator<Item = String> {
    SPECIAL.map(str::to_owned).into_iter().chain(tokens)
}

pub(super) fn numbered(tokens: impl IntoIterator<Item = String>) -> Map<String, Value> {
    tokens.into_iter().zip((0..).map(|id: u32| id.into())).collect()
}

/// Byte pair encoding before its first pair: every symbol stands alone.
pub(super) fn symbols_alone(symbols: impl IntoIterator<Item = String>) -> Result<ModelWrapper> {
    let model = json!({"type": "BPE", "vocab": numbered(symbols), "merges": [], "unk_token": SPECIAL[0]});
    Ok(serde_json::from_value(model)?)
}

/// The most frequent tokens that occur often enough; among equals, the first in Unicode.
pub(super) fn most_frequent(mut counts: Vec<(String, u64)>, config: &TokenizerConfig) -> Result<Vec<String>> {
    counts.sort_unstable_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    check_often(&counts, config)?;
    let often = counts.into_iter().take_while(|(_, count)| *count >= config.minimum_count);
    Ok(often.map(|(token, _)| token).take(config.vocabulary - SPECIAL.len()).collect())
}

/// That something of the text, sorted by its count, is an entry.
pub(super) fn check_often<T: std::fmt::Display>(counts: &[(T, u64)], config: &TokenizerConfig) -> Result<()> {
    let least = config.minimum_count;
    match counts.first() {
        Some((token, most)) if *most < least => Err(format!(
            "[tokenizer] minimum_count = {least}: nothing in the text occurs so often, so all of it would be unknown; the \
             most frequent, {:?}, occurs {most} times",
            token.to_string()
        )
        .into()),
        _ => Ok(()),
    }
}
