//! Files that commands write as a whole.

use std::path::Path;

/// That a file may be written there: nothing is there, or a file that may be overwritten. A link to something else would be gone.
pub(crate) fn check_place(shown: &str, path: &Path, overwrite: bool) -> anyhow::Result<()> {
    let exists = path.symlink_metadata().is_ok();
    anyhow::ensure!(
        !exists || path.is_file(),
        "{shown}: it is no regular file, which could be replaced as a whole. Name another"
    );
    anyhow::ensure!(!exists || overwrite, "{shown}: it is there already. Name another file, or add --overwrite");
    Ok(())
}
