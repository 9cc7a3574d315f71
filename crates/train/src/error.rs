use std::path::PathBuf;

/// An error of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A recipe, a text, a run folder or a model's pass.
    #[error(transparent)]
    Inference(#[from] descant_inference::Error),
    /// The loss or a gradient is no longer a number.
    #[error(
        "training diverged at step {step}: {cause}. The last good checkpoint, of step {kept}, is kept in {}. \
         Lower train.learning_rate, lengthen the warm-up, or clip gradients harder (train.clip); go on at half the rate by \
         --divergence restart; or skip such steps, where they are rare (train.non_finite = 'skip')",
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
    /// It was asked to stop.
    #[error("it was asked to stop")]
    Stopped,
    /// All targets of a text are masked: there is no mean loss.
    #[error(
        "no target token of the text counts, so that it has no loss. Look at loss.ignored in the recipe, and whether the \
         answers are empty"
    )]
    NothingCounts,
    /// A run of a halving has gone on, and what it was worth before is not known.
    #[error(
        "{}: it is at step {step}, beyond the {until} of this part of the halving, and what it was worth there is not known. Where \
         lines of rungs.jsonl cannot be read, mend them; or remove this folder so that it is trained again, or sweep into another one",
        path.display()
    )]
    BeyondRung {
        /// The run folder.
        path: PathBuf,
        /// Its step.
        step: u64,
        /// The step of the rung.
        until: u64,
    },
    /// The system starts no more threads.
    #[error("could not start the worker threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl From<descant_text::TextError> for Error {
    fn from(error: descant_text::TextError) -> Self {
        Self::Inference(error.into())
    }
}

impl From<descant_tensor::Error> for Error {
    fn from(error: descant_tensor::Error) -> Self {
        Self::Inference(error.into())
    }
}
