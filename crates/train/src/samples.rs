//! What a model generates for the same few examples at each validation: `samples.jsonl`.

use crate::Prediction;
use crate::line_file::{LineFile, read_lines};
use descant_inference::layout::SAMPLES;
use descant_inference::{Error, TrainConfig};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One line of `samples.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sample {
    /// Optimizer steps done.
    pub step: u64,
    /// The line of the source in its file, from 1.
    pub line: u64,
    /// The name of that file, where the text has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The source or prompt.
    pub source: String,
    /// What the model generated.
    pub text: String,
    /// The references.
    pub references: Vec<String>,
    /// Whether the model ended it with EOS, rather than the length limit.
    pub finished: bool,
}

impl Sample {
    pub(crate) fn of(step: u64, prediction: &Prediction) -> Self {
        let Prediction { line, file, source, text, finished, references, .. } = prediction.clone();
        Self { step, line, file: file.map(|file| file.to_string()), source, text, references, finished }
    }

    /// Those of a run, and how many lines cannot be read; none where there is no such file.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn of_run(run: &Path) -> Result<(Vec<Self>, usize), Error> {
        read_lines(&run.join(SAMPLES))
    }
}

/// The file of a training that has samples, to go on with after a step, or before the validation there, and how many lines could not be
/// read.
pub(crate) fn open_samples(
    train: &TrainConfig,
    run: &Path,
    step: u64,
    validates_again: bool,
) -> Result<(Option<LineFile>, usize), Error> {
    if train.text_metric().is_none() || train.validation_samples == 0 {
        return Ok((None, 0));
    }
    let stays = |sample: &Sample| sample.step < step || (sample.step == step && !validates_again);
    let (file, unread) = LineFile::open(run.join(SAMPLES), stays)?;
    Ok((Some(file), unread))
}
