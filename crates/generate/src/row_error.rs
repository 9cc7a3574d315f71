use crate::{FinishReason, Hypothesis};

/// Why a row has no texts. Other rows are none the worse for it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// It begins with nothing.
    #[error("there is no token to begin with: the model has no BOS, and the prompt is empty")]
    NoStart,
    /// Its prompt is longer than what the decoder has positions for.
    #[error("the prompt has {tokens} tokens, and the model's decoder has positions for {positions}")]
    LongPrompt {
        /// Of the prompt.
        tokens: usize,
        /// Of the decoder.
        positions: usize,
    },
    /// The short list has no token for its source.
    #[error("the short list has no token for the source, and the model has no EOS")]
    NoTokens,
    /// A constraint that it cannot meet, or that failed.
    #[error("{0}")]
    Constraint(String),
    /// It is written in parts, under a constraint of a whole text.
    #[error(
        "{constraint} is of a whole text, and this one is written in {parts} parts, each for itself: leave one out"
    )]
    Parts {
        /// What it is.
        constraint: String,
        /// How many.
        parts: usize,
    },
    /// With guidance, it has no condition to leave out.
    #[error(
        "guidance_scale: the source has no control attribute, without which it could be led away. Give it one (--control, or \"control\" in a line of a .jsonl), or leave guidance_scale out"
    )]
    NoCondition,
    /// No token may come next, and its constraints do not let it end.
    #[error("after {} tokens none may come next, and the constraints do not let the text end", tokens.len())]
    Unmet {
        /// Those of its best text.
        tokens: Vec<u32>,
    },
    /// A model's scores of its next token are not finite.
    #[error("the scores of the next token are not finite: the weights are damaged, or too large")]
    Scores {
        /// Which model: 0, or that of an ensemble.
        member: usize,
    },
}

/// The hypotheses of a row, the best first, or why it has none.
pub type RowResult = Result<Vec<Hypothesis>, RowError>;

/// The texts of a row, unless there is none that its constraints let end: where one of several came to no end, the others count.
pub(crate) fn unless_unmet(mut found: Vec<Hypothesis>) -> RowResult {
    match found.iter().all(|one| one.finish_reason == FinishReason::Unmet) && !found.is_empty() {
        true => Err(RowError::Unmet { tokens: found.swap_remove(0).tokens }),
        false => Ok(found),
    }
}
