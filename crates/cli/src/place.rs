//! Where commands write: files as a whole, and runs that are made of others.

use std::fs::canonicalize;
use std::path::{Path, PathBuf};

/// That a file may be written there: nothing is there, or a file that may be overwritten. A link to something else would be gone.
pub(crate) fn check_place(shown: &str, path: &Path, overwrite: bool) -> anyhow::Result<()> {
    let exists = path.symlink_metadata().is_ok();
    anyhow::ensure!(
        !exists || path.is_file(),
        "{shown}: it is no regular file, which could be replaced as a whole. Name another"
    );
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    anyhow::ensure!(
        folder.is_none_or(Path::is_dir),
        "{shown}: there is no folder {}. Make it first, or name another file",
        folder.unwrap_or(path).display()
    );
    anyhow::ensure!(!exists || overwrite, "{shown}: it is there already. Name another file, or add --overwrite");
    Ok(())
}

/// The folder for a run that is made of another one, beside it.
pub(crate) fn beside(run: &Path, suffix: &str) -> Option<PathBuf> {
    let named = |run: &Path| Some(run.with_file_name(format!("{}-{suffix}", run.file_name()?.to_string_lossy())));
    // A path such as `.` has no name of its own.
    named(run).or_else(|| named(&canonicalize(run).ok()?))
}
