use std::path::{Path, PathBuf};

/// An error of reading or writing a run, or of inference.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The recipe is wrong.
    #[error("{}: {reason}", path.display())]
    Recipe {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A text or a tokenizer is wrong.
    #[error(transparent)]
    Text(#[from] descant_text::TextError),
    /// No text meets the constraints of a source or prompt.
    #[error(
        "after {text:?} no token may come next, and the text may not end there, by {}: they contradict each other or another option, or the \
         vocabulary cannot write what they ask for",
        constraints.join(", ")
    )]
    Unmet {
        /// The best text until there.
        text: String,
        /// Its tokens.
        tokens: Vec<u32>,
        /// What it has to be, by name.
        constraints: Vec<String>,
    },
    /// A source or prompt has no texts.
    #[error(transparent)]
    Row(#[from] descant_generate::RowError),
    /// A forward or backward pass failed.
    #[error("the model failed: {0}")]
    Model(descant_tensor::Error),
    /// The system refused to read or write.
    #[error("could not {what} {}: {error}{}", path.display(), descant_text::remedy(error))]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// A checkpoint cannot be used.
    #[error("the checkpoint {} cannot be used: {reason}", path.display())]
    Checkpoint {
        /// Its folder or file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// There is no run, or it has no checkpoint yet.
    #[error("{}: {reason}", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// What is there instead, and what to do.
        reason: String,
    },
    /// A folder for a new run is not free: it holds another run, or files that would be overwritten.
    #[error("{}: {reason}", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What is there, and what to do.
        reason: String,
    },
    /// Another process is writing to the run folder.
    #[error(
        "{}: another process is writing to it. Let it end, or choose another folder with --run",
        path.display()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The run folder cannot be used for another reason.
    #[error("{}: {reason}", path.display())]
    Run {
        /// The folder.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
}

// Not as its source, which would be printed twice.
impl From<descant_tensor::Error> for Error {
    fn from(error: descant_tensor::Error) -> Self {
        Self::Model(error)
    }
}

impl Error {
    /// That the system refused to do `what` with a file or folder.
    pub fn io(what: &'static str, path: &Path, error: std::io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), error }
    }
}

/// A word of a command as a shell reads it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=,:+@".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
