//! The names of what lies in a run folder.

use crate::Error;
use descant_text::write_file;
use std::io::Write;
use std::path::Path;

/// The resolved recipe.
pub(crate) const RECIPE: &str = "recipe.toml";
/// The chat template.
pub(crate) const TEMPLATE: &str = "chat_template.jinja";
/// The lengths of the training texts.
pub(crate) const LENGTHS: &str = "lengths.json";
/// The metrics, one JSON object a line.
pub(crate) const METRICS: &str = "metrics.jsonl";
/// The folder of a run's checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoints";
/// The links to the checkpoint with the best validation loss, and to the newest.
pub(crate) const BEST: &str = "best";
pub(crate) const LAST: &str = "last";
/// The folder of a run's encoded texts.
pub(crate) const DATA: &str = "data";
/// Writes a small file atomically.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_file(path, |file| file.write_all(bytes)).map_err(|error| Error::io("write", path, error))
}
