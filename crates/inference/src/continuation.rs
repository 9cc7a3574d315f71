//! The text of tokens that come after others.

use crate::{Error, Trained};
use descant_text::{TextError, Tokenizer};

/// Tokens before others that decide how these are decoded, such as whether they begin a text.
pub(crate) const BEFORE: usize = 8;

impl Trained {
    /// The text of `tokens` after `prompt`, with the space between them, which decoding the tokens alone would drop.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn continuation(&self, prompt: &[u32], tokens: &[u32]) -> Result<String, Error> {
        Ok(continuation(&self.tokenizers.target, prompt, tokens)?)
    }

    /// The tokens of a text that goes on after a prompt: those after the prompt's, of both as one text. Where the text's first characters belong
    /// to the last token of the prompt, the text is cut by itself.
    ///
    /// # Errors
    /// Where the tokenizer fails.
    pub fn encode_after(&self, prompt: &str, text: &str) -> Result<Vec<u32>, Error> {
        let target = &self.tokenizers.target;
        let (before, whole) = (target.encode(prompt)?, target.encode(&[prompt, text].concat())?);
        match whole.strip_prefix(&before[..]) {
            Some(rest) => Ok(rest.to_vec()),
            None => Ok(target.encode_continuation(text)?),
        }
    }
}

/// The same of a tokenizer.
pub(crate) fn continuation(tokenizer: &Tokenizer, prompt: &[u32], tokens: &[u32]) -> Result<String, TextError> {
    let whole = tokenizer.decode(&[prompt, tokens].concat())?;
    match whole.strip_prefix(&tokenizer.decode(prompt)?) {
        Some(rest) => Ok(rest.to_owned()),
        None => tokenizer.decode(tokens),
    }
}
