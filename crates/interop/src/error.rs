use std::path::{Path, PathBuf};

/// What goes wrong with a model from elsewhere, or for elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or one of its files is not what it should be.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The system refused to read or write.
    #[error("could not {what} {}: {error}{}", path.display(), descant_text::remedy(error))]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    #[cfg(feature = "hub")]
    /// A name that cannot be one of the hub.
    #[error("{0:?} is no model's name: expected hf:OWNER/NAME, or hf:OWNER/NAME@REVISION")]
    HubName(String),
    #[cfg(feature = "hub")]
    /// A model could not be fetched.
    #[error("could not fetch {name} from the hub: {reason}")]
    Hub {
        /// Its name there.
        name: String,
        /// What went wrong, and what to do.
        reason: String,
    },
    /// The model is of no family that can be written so.
    #[error("this model cannot be exported: {0}")]
    Family(String),
    /// The run could not be read or written.
    #[error(transparent)]
    Inference(#[from] descant_inference::Error),
}

impl Error {
    pub(crate) fn folder(path: &Path, reason: impl Into<String>) -> Self {
        Self::Folder { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn io(what: &'static str, path: &Path, error: std::io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), error }
    }
}
