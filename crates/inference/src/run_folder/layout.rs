//! The layout of a run folder: names of its files, which files are its own, atomic writes and removals.

use crate::Error;
use descant_text::write_file;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The resolved recipe.
pub const RECIPE: &str = "recipe.toml";
/// The chat template.
pub const TEMPLATE: &str = "chat_template.jinja";
/// The lengths of the training texts.
pub const LENGTHS: &str = "lengths.json";
/// The metrics, one JSON object a line.
pub const METRICS: &str = "metrics.jsonl";
/// What is generated for some examples at each validation, one JSON object a line.
pub const SAMPLES: &str = "samples.jsonl";
/// The folder of a run's checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// The link to the checkpoint with the best validation loss.
pub const BEST: &str = "best";
/// The link to the newest checkpoint.
pub const LAST: &str = "last";
/// The folder of a run's encoded texts.
pub const DATA: &str = "data";
/// The files of a checkpoint: the weights to generate with.
pub const MODEL: &str = "model.safetensors";
/// The weights that training goes on with, where those of [`MODEL`] are their average.
pub const WEIGHTS: &str = "weights.safetensors";
/// The optimizer state.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// The recurrent state that a training carries from chunk to chunk.
pub const CARRIED_STATE: &str = "carried_state.safetensors";
/// Progress, checksums and provenance.
pub const MANIFEST: &str = "manifest.json";

/// The folder of a step's checkpoint.
pub fn checkpoint_folder(run: &Path, step: u64) -> PathBuf {
    run.join(CHECKPOINTS).join(format!("step-{step:08}"))
}

/// The step whose checkpoint has this name.
pub fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (format!("step-{step:08}") == name).then_some(step)
}

/// Whether a folder is a checkpoint as we write it, with nothing else in it.
pub fn is_own_checkpoint(path: &Path) -> bool {
    let named = path.file_name().is_some_and(|name| step_of(&name.to_string_lossy()).is_some());
    // A link is somebody's own.
    let plain = || path.symlink_metadata().is_ok_and(|there| there.is_dir());
    let names = [MODEL, WEIGHTS, OPTIMIZER, CARRIED_STATE, MANIFEST];
    let known =
        |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| names.iter().any(|name| entry.file_name() == *name));
    named && plain() && path.join(MANIFEST).is_file() && fs::read_dir(path).is_ok_and(|mut all| all.all(known))
}

/// The steps of the checkpoints in a run folder.
pub fn checkpoint_steps(run: &Path) -> Vec<u64> {
    let entries = fs::read_dir(run.join(CHECKPOINTS)).into_iter().flatten().flatten();
    let complete = entries.filter(|entry| entry.path().join(MANIFEST).is_file());
    let mut steps: Vec<u64> = complete.filter_map(|entry| step_of(&entry.file_name().to_string_lossy())).collect();
    steps.sort_unstable();
    steps
}

/// Writes a small file atomically.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_file(path, |file| file.write_all(bytes)).map_err(|error| Error::io("write", path, error))
}

/// Removes a folder as atomically as it was written: aside first, so that it is complete or absent.
pub fn discard(path: &Path) -> io::Result<()> {
    let aside = beside(path, "removed");
    absent(fs::remove_dir_all(&aside))?;
    fs::rename(path, &aside)?;
    absent(fs::remove_dir_all(&aside))
}

/// A name for a checkpoint that is not complete yet, or is being removed.
pub fn beside(checkpoint: &Path, what: &str) -> PathBuf {
    let name = checkpoint.file_name().unwrap_or_default().to_string_lossy();
    checkpoint.with_file_name(format!(".{name}.{what}"))
}

/// Whether an interrupted save or removal left it.
pub fn is_leftover(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let inner = name.strip_prefix('.');
    let inner = inner.and_then(|name| name.strip_suffix(".partial").or(name.strip_suffix(".removed")));
    inner.is_some_and(|name| step_of(name).is_some())
}

/// Removing what is not there is no error.
pub fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
