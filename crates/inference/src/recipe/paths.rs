//! Finds the files that the recipe of a run names.

use super::Recipe;
use super::files::{is_there, within};
use std::fs;
use std::path::{Path, PathBuf};

impl Recipe {
    /// The recipe of a run, with its paths as they are from where this process stands: they are those of the start, from a folder
    /// above the run, most likely.
    pub fn located(&self, run: &Path) -> Self {
        let run = fs::canonicalize(run).unwrap_or_default();
        let find = |path: &mut PathBuf| {
            if is_there(path) || path.is_absolute() {
                return;
            }
            let mut places = run.ancestors().skip(1).map(|folder| within(folder, path));
            if let Some(there) = places.find(|there| is_there(there)) {
                *path = there;
            }
        };
        let mut recipe = self.clone();
        recipe.init.as_mut().map(find);
        if let Some(distill) = &mut recipe.distill {
            find(&mut distill.teacher);
        }
        if let Some(command) = &mut recipe.train.metric_command {
            find(command);
        }
        if let Some(data) = &mut recipe.data {
            for files in [Some(&mut data.train), data.validation.as_mut()].into_iter().flatten() {
                files.paths_mut().into_iter().for_each(find);
            }
            data.chat_template.as_mut().map(find);
        }
        recipe
    }
}
