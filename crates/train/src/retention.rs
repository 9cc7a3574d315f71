//! Which checkpoints of a training are kept.

use descant_inference::checkpoint::Checkpoint;
use descant_inference::layout::{checkpoint_folder, checkpoint_steps};
use descant_inference::{Error, Progress, RunFolder, TrainConfig};

/// Removes the checkpoints that a training needs no more: all but `best` and `last`, what is the best as far as this training has come or
/// is again should it go on after all, and the newest.
///
/// # Errors
/// Where one cannot be removed.
pub(crate) fn prune(run: &RunFolder, train: &TrainConfig, progress: &Progress) -> Result<(), Error> {
    // Not those that a signal or the end of the training brought, nor those beyond this step: a training that was never broken off has
    // the same. A damaged one stays.
    let is_scheduled = |step: u64| {
        Checkpoint::open(&checkpoint_folder(run.path(), step)).map_or(true, |there| !there.progress().is_unscheduled)
    };
    let scheduled = checkpoint_steps(run.path()).into_iter().rev();
    let scheduled = scheduled.filter(|&step| step > 0 && step <= progress.step && is_scheduled(step));
    // `best` may be of a later step, where the training was broken off before `last` was written.
    let best = progress.best.map(|(_, step)| step);
    let kept: Vec<u64> = scheduled.take(train.keep).chain(best).chain(progress.best_before_end()).collect();
    run.prune(&kept)
}

/// The same before a training goes on, and what that removes, in a sentence: it may go on from an earlier checkpoint than the last, or
/// keep fewer than before.
///
/// # Errors
/// As [`prune`].
pub(crate) fn prune_before(run: &RunFolder, train: &TrainConfig, progress: &Progress) -> Result<Option<String>, Error> {
    let before = checkpoint_steps(run.path());
    prune(run, train, progress)?;
    let left = checkpoint_steps(run.path());
    let removed = before.into_iter().filter(|step| *step > 0 && !left.contains(step));
    let removed: Vec<String> = removed.map(|step| step.to_string()).collect();
    let (step, keep) = (progress.step, train.keep);
    Ok((!removed.is_empty()).then(|| {
        let steps = if removed.len() == 1 { "checkpoint of step" } else { "checkpoints of steps" };
        format!("Removed the {steps} {}: the last is that of step {step}, and train.keep = {keep}.", removed.join(", "))
    }))
}

/// Whether something that is done every so many steps is done at this one.
pub(crate) fn is_due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}
