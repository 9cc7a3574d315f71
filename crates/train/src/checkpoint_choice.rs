//! Some of a run's checkpoints: the newest, or the best by its validations.

use crate::best_metric::{compare_values, measured};
use crate::{Error, MetricsRecord};
use descant_inference::layout::{checkpoint_folder, checkpoint_steps};
use descant_inference::{Recipe, locate};
use descant_text::plural;
use std::path::{Path, PathBuf};

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointChoice {
    /// Those that there are, but for the one before the first step.
    All,
    /// So many of the newest.
    Last(usize),
    /// So many of those whose validation is the best by `train.best_metric`.
    Best(usize),
}

/// The folders of checkpoints in a run folder, by their steps; of the best, the best first.
///
/// # Errors
/// Where it is no run, or has fewer.
pub fn choose_checkpoints(run: &Path, choice: CheckpointChoice) -> Result<Vec<PathBuf>, Error> {
    let wrong = |reason: String| Err(descant_inference::Error::Run { path: run.to_owned(), reason }.into());
    let (folder, _) = locate(run)?;
    if folder != run {
        let of = folder.display();
        return wrong(format!(
            "this is one checkpoint of {of}. Name others beside it, or {of} for all of its checkpoints"
        ));
    }
    let steps: Vec<u64> = checkpoint_steps(run).into_iter().filter(|&step| step > 0).collect();
    let (wanted, mut steps, of) = match choice {
        CheckpointChoice::All => (0, steps, ""),
        CheckpointChoice::Last(wanted) => (wanted, steps, ""),
        CheckpointChoice::Best(wanted) => (wanted, by_validation(run, &steps)?, " with a validation"),
    };
    if steps.len() < wanted {
        let (count, all) = (plural(steps.len() as u64, "checkpoint"), steps.iter().map(u64::to_string));
        let of_steps =
            if steps.is_empty() { String::new() } else { format!(" (of step {})", all.collect::<Vec<_>>().join(", ")) };
        return wrong(format!(
            "it has {count}{of}{of_steps}, not {wanted}. A training with train.keep = {wanted} keeps so many; runs and checkpoints can be named \
             one by one, too"
        ));
    }
    match choice {
        CheckpointChoice::All => {}
        CheckpointChoice::Last(wanted) => _ = steps.drain(..steps.len() - wanted),
        CheckpointChoice::Best(wanted) => steps.truncate(wanted),
    }
    Ok(steps.into_iter().map(|step| checkpoint_folder(run, step)).collect())
}

/// Those of these steps that were validated, the best first; of equal ones, the earlier.
fn by_validation(run: &Path, steps: &[u64]) -> Result<Vec<u64>, Error> {
    let best_metric = Recipe::of_run(run)?.train.best_metric;
    let (records, _) = MetricsRecord::of_run(run)?;
    let mut validated: Vec<(u64, f64)> = Vec::new();
    for record in records {
        if let MetricsRecord::Validation { step, loss, metrics, .. } = record
            && let Some(value) = measured(&best_metric, loss, &metrics).filter(|_| steps.contains(&step))
        {
            validated.push((step, value));
        }
    }
    validated.sort_by(|a, b| compare_values(&best_metric, a.1, b.1));
    Ok(validated.into_iter().map(|(step, _)| step).collect())
}
