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
    /// A grammar of no text.
    #[error("{what}: it has no text: every way through it goes on without an end, or contradicts itself")]
    Empty {
        /// What was given, such as a JSON schema.
        what: &'static str,
    },
    /// Phrases that cannot be required or forbidden.
    #[error("{0}")]
    Phrases(String),
    /// What the tokenizer fails with.
    #[error(transparent)]
    Text(#[from] TextError),
}
