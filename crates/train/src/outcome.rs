use descant_inference::{Progress, TrainConfig};

/// How a training came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// No validation was better for as long as `train.patience` says.
    EarlyStopped,
    /// It was asked to stop; its checkpoint is written.
    Stopped,
}

impl Outcome {
    /// How a training came to its end that stands there; none where there is more to do.
    pub(crate) fn of(train: &TrainConfig, progress: &Progress) -> Option<Self> {
        if progress.validation_due {
            return None;
        }
        match train.patience > 0 && progress.stale >= train.patience {
            true => Some(Self::EarlyStopped),
            false => Self::is_finished(train, progress).then_some(Self::Finished),
        }
    }

    /// Whether all steps are done.
    pub(crate) fn is_finished(train: &TrainConfig, progress: &Progress) -> bool {
        progress.step >= train.most_steps() || (train.epochs > 0 && progress.position.epoch >= train.epochs)
    }
}
