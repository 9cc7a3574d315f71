//! A training in a folder that goes with it: begun to see how it goes, it leaves no run.

use crate::{Error, Trainer};
use descant_inference::Recipe;
use tempfile::TempDir;

impl Trainer {
    /// Starts a training of this recipe, in a folder that is removed with what is returned beside it.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub(crate) fn temporary(recipe: Recipe, threads: usize) -> Result<(TempDir, Self), Error> {
        let io = |error| descant_inference::Error::io("make a folder in", &std::env::temp_dir(), error);
        let folder = tempfile::Builder::new().prefix("descant-").tempdir().map_err(io)?;
        let trainer = Self::new(recipe, &folder.path().join("run"), threads, false)?;
        Ok((folder, trainer))
    }
}
