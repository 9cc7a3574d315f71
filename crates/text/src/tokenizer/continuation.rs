//! How a text is cut that continues another.

use super::error::wrong;
use crate::TextError;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;

/// The pre-tokenizer for text that does not begin a sequence, where that differs.
pub(super) fn continuation(inner: &tokenizers::Tokenizer) -> Result<Option<PreTokenizerWrapper>, TextError> {
    let Some(pre_tokenizer) = inner.get_pre_tokenizer() else { return Ok(None) };
    let mut json = serde_json::to_value(pre_tokenizer).map_err(wrong)?;
    let mut parts = vec![&mut json];
    let mut differs = false;
    while let Some(part) = parts.pop() {
        if part["type"] == "Metaspace" && part["prepend_scheme"] == "first" {
            part["prepend_scheme"] = "never".into();
            differs = true;
        }
        if let Some(inner) = part.get_mut("pretokenizers").and_then(|inner| inner.as_array_mut()) {
            parts.extend(inner);
        }
    }
    differs.then(|| serde_json::from_value(json).map_err(wrong)).transpose()
}
