use crate::ConstraintError;
use crate::prompt::before;
use descant_generate::{ConstrainedRow, Constraint, ConstraintState};
use descant_text::Tokenizer;
use std::sync::Arc;

/// What every text has to start with. Its tokens are forced and count as generated; what follows is free.
#[derive(Clone, Debug)]
pub struct Prefix {
    tokenizer: Arc<Tokenizer>,
    /// At the start of a text, and after a prompt that writes something.
    first: Arc<[u32]>,
    later: Arc<[u32]>,
}

impl Prefix {
    /// A text, as the tokenizer segments it.
    ///
    /// # Errors
    /// For a text of which the vocabulary does not have all characters.
    pub fn new(tokenizer: &Tokenizer, text: &str) -> Result<Self, ConstraintError> {
        let unknown = tokenizer.unknown_parts(text)?;
        match unknown.first() {
            Some(part) => Err(ConstraintError::Phrases(format!(
                "the prefix {text:?} has {part:?}, which the vocabulary cannot write"
            ))),
            None => Ok(Self {
                tokenizer: Arc::new(tokenizer.clone()),
                first: tokenizer.encode(text)?.into(),
                later: tokenizer.encode_continuation(text)?.into(),
            }),
        }
    }
}

impl Constraint for Prefix {
    fn start(&self, row: &ConstrainedRow<'_>) -> Result<Box<dyn ConstraintState>, String> {
        let begins_text = self.tokenizer.decode(before(row)).map_err(|error| error.to_string())?.is_empty();
        let tokens = if begins_text { &self.first } else { &self.later };
        if tokens.len() > row.limit {
            return Err(format!(
                "the prefix has {} tokens, more than the {} that the text may have",
                tokens.len(),
                row.limit
            ));
        }
        Ok(Box::new(PrefixState { tokens: tokens.clone(), at: 0 }))
    }

    fn name(&self) -> String {
        "the prefix".to_owned()
    }
}

#[derive(Clone, Debug)]
struct PrefixState {
    tokens: Arc<[u32]>,
    at: usize,
}

impl ConstraintState for PrefixState {
    fn restrict(&mut self, scores: &mut [f64]) -> Result<(), String> {
        if let Some(&token) = self.tokens.get(self.at) {
            let kept = scores.get(token as usize).copied();
            scores.fill(f64::NEG_INFINITY);
            if let (Some(place), Some(kept)) = (scores.get_mut(token as usize), kept) {
                *place = kept;
            }
        }
        Ok(())
    }

    fn push(&mut self, _: u32) -> Result<(), String> {
        self.at += 1;
        Ok(())
    }

    fn may_end(&mut self) -> bool {
        self.at >= self.tokens.len()
    }
}
