use crate::Hypothesis;
use descant_tensor::Error;

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
    #[error("{constraint} is of a whole text, and this one is written in {parts} parts, each for itself: leave one out")]
    Parts {
        /// What it is.
        constraint: String,
        /// How many.
        parts: usize,
    },
    /// With guidance, it has no condition to leave out.
    #[error(
        "guidance_scale: it has no control attributes, whose absence could guide it. Give it some (--control), or leave guidance_scale out"
    )]
    NoCondition,
    /// The model's scores for it are not numbers.
    #[error("the model failed: {0}")]
    Scores(Error),
}

/// The hypotheses of a row, the best first, or why it has none.
pub type RowResult = Result<Vec<Hypothesis>, RowError>;
