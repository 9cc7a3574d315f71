//! Which checkpoints of a training are kept.

use descant_inference::layout::checkpoint_steps;
use descant_inference::{Error, Progress, RunFolder, TrainConfig};

/// Removes the checkpoints that a training needs no more: all but `best` and `last`, what is the best again should it go on after all,
/// and the newest.
///
/// # Errors
/// Where one cannot be removed.
pub(crate) fn prune(run: &RunFolder, train: &TrainConfig, progress: &Progress) -> Result<(), Error> {
    // Not those that a signal or the end of the training brought, nor those beyond this step: a training that was never broken off has
    // the same.
    let is_regular = |step: u64| step.is_multiple_of(train.validate_every) || is_due(step, train.checkpoint_every);
    let regular = checkpoint_steps(run.path()).into_iter().rev();
    let regular = regular.filter(|&step| step > 0 && step <= progress.step && is_regular(step));
    let kept: Vec<u64> = regular.take(train.keep).chain(progress.best_before_end()).collect();
    run.prune(&kept)
}

/// Whether something that is done every so many steps is done at this one.
pub(crate) fn is_due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}
