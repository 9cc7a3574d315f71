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
    /// A key of a JSON schema that is no keyword: a slip of the pen would lift what it should constrain.
    #[error("the JSON schema: {at}/{keyword}: there is no such keyword{}. What constrains nothing has a name that begins with x-", meant(*nearest))]
    UnknownKeyword {
        /// The JSON pointer to the schema that has it; empty for the whole.
        at: String,
        /// The key.
        keyword: String,
        /// The keyword that may be meant.
        nearest: Option<&'static str>,
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

impl ConstraintError {
    /// What is wrong with a JSON schema.
    pub(crate) fn schema(reason: String) -> Self {
        Self::Grammar { what: "the JSON schema", reason }
    }

    /// What is wrong with a keyword of the schema at a JSON pointer.
    pub(crate) fn keyword(at: &str, keyword: &str, why: &str) -> Self {
        Self::schema(format!("{at}/{keyword}: {why}"))
    }
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|known| format!(" (did you mean {known}?)")).unwrap_or_default()
}
