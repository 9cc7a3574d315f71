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
        let is_stale = train.patience > 0 && progress.stale >= train.patience;
        let is_done =
            progress.step >= train.most_steps() || (train.epochs > 0 && progress.position.epoch >= train.epochs);
        match is_stale {
            true => Some(Self::EarlyStopped),
            false => is_done.then_some(Self::Finished),
        }
    }
}
