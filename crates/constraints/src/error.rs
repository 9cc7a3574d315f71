use descant_text::TextError;

/// Why there is no such constraint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConstraintError {
    /// A grammar that cannot be read, or that is not supported.
    #[error("{what}: {reason}")]
    Grammar {
        /// What was given, such as a JSON schema.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A grammar whose texts the vocabulary cannot write.
    #[error(
        "{what}: the vocabulary writes none of its texts: it would need one of {needed}. Change the grammar, or take a model with a \
         byte-level tokenizer"
    )]
    Unwritable {
        /// What was given, such as a JSON schema.
        what: &'static str,
        /// The characters that may come first.
        needed: String,
    },
    /// Phrases that cannot be required or forbidden.
    #[error("{0}")]
    Phrases(String),
    /// What the tokenizer fails with.
    #[error(transparent)]
    Text(#[from] TextError),
}
