//! Which run, checkpoint or imported model a path means.

use crate::run_folder::layout::{BEST, CHECKPOINTS, LAST, MANIFEST, RECIPE, checkpoint_steps, step_of};
use crate::{Error, RunFolder, quoted};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The run folder and the checkpoint folder, or the link to it, that a path means.
pub fn locate(path: &Path) -> Result<(PathBuf, PathBuf), Error> {
    let wrong = |reason: &str| Error::NoRun { path: path.to_owned(), reason: reason.to_owned() };
    if !leads_somewhere(path) {
        return Err(missing(path));
    }
    if path.join(RECIPE).is_file() {
        let checkpoint = [BEST, LAST].iter().map(|link| path.join(link)).find(|link| leads_somewhere(link));
        let checkpoint = checkpoint.ok_or_else(|| wrong("the run has no checkpoint yet: let it train for longer"))?;
        return Ok((path.to_owned(), checkpoint));
    }
    if path.is_file() && path.extension().is_some_and(|extension| extension == "toml") {
        let run = Path::new("runs").join(path.file_stem().unwrap_or_default());
        let what = match run.join(RECIPE).is_file() {
            true => format!("the run that it wrote is {}", run.display()),
            false => format!("train it first: descant train {}", path.display()),
        };
        return Err(wrong(&format!("this is a recipe; {what}")));
    }
    if is_foreign(path) {
        return Err(wrong(&from_elsewhere(path)));
    }
    // A checkpoint or a link inside a run.
    let inside = attempts(|| fs::canonicalize(path)).map_err(|error| Error::io("open", path, error))?;
    match inside.ancestors().find(|folder| folder.join(RECIPE).is_file()) {
        Some(run) if path.is_symlink() => Ok((run.to_owned(), path.to_owned())),
        Some(run) if inside.join(MANIFEST).is_file() => Ok((run.to_owned(), inside.clone())),
        _ => {
            let runs: Vec<String> =
                runs_in(path).unwrap_or_default().iter().map(|run| run.display().to_string()).collect();
            Err(wrong(&match runs.is_empty() {
                _ if path.is_file() => {
                    "this is a file, and neither a run nor a model. To train on a text, name it in a recipe: \
                                        descant init prints one to begin with"
                        .to_owned()
                }
                true => "this is not a run folder: it has no recipe.toml. Name the folder that descant train wrote"
                    .to_owned(),
                false => format!("this is not a run folder, but one of runs: {}. Name one of them", runs.join(", ")),
            }))
        }
    }
}

/// Whether there is something where a path leads.
fn leads_somewhere(path: &Path) -> bool {
    attempts(|| fs::metadata(path)).is_ok()
}

/// Follows a path several times where it leads nowhere: a training replaces a link, and then removes the checkpoint that it led
/// to, which may be between the two looks that following it takes.
fn attempts<T>(follow: impl Fn() -> io::Result<T>) -> io::Result<T> {
    (0..8).find_map(|_| follow().ok()).map_or_else(follow, Ok)
}

/// What a model from elsewhere has in its folder.
const FOREIGN: [&str; 7] = [
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.bin",
    "weights.safetensors",
];

/// Whether a path is a run folder, a checkpoint in one, or a link to one.
#[must_use]
pub fn is_run(path: &Path) -> bool {
    path.join(RECIPE).is_file() || path.join(MANIFEST).is_file()
}

/// Whether a path is a model from elsewhere, by the names of its files, and no checkpoint of a run.
pub fn is_foreign(path: &Path) -> bool {
    let place = fs::canonicalize(path).unwrap_or_default();
    let is_checkpoint = path.join(MANIFEST).exists() || place.parent().is_some_and(|p| p.ends_with(CHECKPOINTS));
    let has = || !is_checkpoint && FOREIGN.iter().any(|name| path.join(name).is_file());
    if path.is_dir() { has() } else { is_gguf(path) }
}

/// Whether a path is by its name a file of llama.cpp.
#[must_use]
pub fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
}

/// What is said of such a one.
fn from_elsewhere(path: &Path) -> String {
    let name = quoted(&path.to_string_lossy());
    format!("this is a model from elsewhere, and no run. Make a run of it first: descant import {name}")
}

/// The error of a path that leads nowhere: to a checkpoint that its run no longer has, or to nothing that was ever there.
fn missing(path: &Path) -> Error {
    let wrong = |reason: String| Error::NoRun { path: path.to_owned(), reason };
    if path.to_string_lossy().starts_with("hf:") {
        return wrong(from_elsewhere(path));
    }
    let checkpoints = path.parent().filter(|parent| parent.ends_with(CHECKPOINTS));
    let step = path.file_name().and_then(|name| step_of(&name.to_string_lossy()));
    match (step, checkpoints.and_then(Path::parent)) {
        (Some(step), Some(run)) if run.join(RECIPE).is_file() => {
            let there: Vec<String> = checkpoint_steps(run).iter().map(u64::to_string).collect();
            wrong(format!("the run has no checkpoint of step {step}; it has those of {}", there.join(", ")))
        }
        _ => wrong("there is no such run folder. Train one with descant train RECIPE.toml".to_owned()),
    }
}

/// The runs in a folder and in the folders in it, by name, broken ones among them; or the folder, if it is one itself.
///
/// # Errors
/// Where the folder cannot be listed.
pub fn find_runs(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if looks_like_run(folder) { Ok(vec![folder.to_owned()]) } else { runs_in(folder) }
}

/// The runs in a folder and in the folders in it, by name, broken ones among them.
///
/// # Errors
/// Where the folder cannot be listed.
pub fn runs_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let folders = folders_in(folder).map_err(|error| Error::io("list the runs in", folder, error))?;
    let mut runs = Vec::new();
    for folder in folders {
        match looks_like_run(&folder) {
            true => runs.push(folder),
            // One that cannot be listed is no folder of runs.
            false => {
                runs.extend(folders_in(&folder).unwrap_or_default().into_iter().filter(|path| looks_like_run(path)))
            }
        }
    }
    Ok(runs)
}

fn folders_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut folders: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    folders.retain(|path| path.is_dir());
    folders.sort();
    Ok(folders)
}

fn looks_like_run(path: &Path) -> bool {
    RunFolder::is_run(path) || RunFolder::is_starting(path) || path.join(CHECKPOINTS).is_dir()
}
