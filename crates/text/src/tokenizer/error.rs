//! Failures of the crate `tokenizers`: its errors and its panics.

use crate::TextError;
use crate::catch_panic::caught;

/// What fails where a text makes it panic.
const LIBRARY: &str = "`tokenizers` failed";

pub(super) fn wrong(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TextError {
    match error.into().downcast::<TextError>() {
        Ok(error) => *error,
        Err(error) => TextError::Tokenizer(short(error.to_string())),
    }
}

/// Characters of a message of `tokenizers` that are shown: it names tokens whole.
const SHOWN: usize = 300;

pub(super) fn short(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(SHOWN) {
        message.truncate(end);
        message.push('…');
    }
    message
}

/// Calls `tokenizers`: a panic there is an error.
pub(super) fn library<T>(work: impl FnOnce() -> Result<T, TextError>) -> Result<T, TextError> {
    caught(work).unwrap_or_else(|panic| Err(wrong(format!("{LIBRARY}: {panic}"))))
}
