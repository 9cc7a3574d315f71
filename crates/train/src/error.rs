use std::path::{Path, PathBuf};

/// An error of training or inference.
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
    /// The run folder cannot be used.
    #[error("{}: {reason}", path.display())]
    Run {
        /// The folder.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The loss or a gradient is no longer a number.
    #[error(
        "training diverged at step {step}: {cause}. The last good checkpoint, of step {kept}, is kept in {}. \
         Lower train.learning_rate, lengthen the warm-up, or clip gradients harder (train.clip)",
        path.display()
    )]
    Diverged {
        /// The step.
        step: u64,
        /// The first operation whose value or gradient is not finite.
        cause: String,
        /// The step of the last good checkpoint.
        kept: u64,
        /// The run folder.
        path: PathBuf,
    },
    /// All targets of a text are masked: there is no mean loss.
    #[error(
        "no target token of the text counts, so that it has no loss. Look at loss.ignored in the recipe, and whether the \
         answers are empty"
    )]
    NothingCounts,
    /// The system starts no more threads.
    #[error("could not start the worker threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

// Not as its source, which would be printed twice.
impl From<descant_tensor::Error> for Error {
    fn from(error: descant_tensor::Error) -> Self {
        Self::Model(error)
    }
}

impl Error {
    pub(crate) fn io(what: &'static str, path: &Path, error: std::io::Error) -> Self {
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
