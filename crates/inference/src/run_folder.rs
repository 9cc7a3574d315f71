pub mod layout;

use crate::{Error, Recipe, Tokenizers};
use descant_text::Corpus;
use layout::{
    BEST, CHECKPOINTS, DATA, LAST, LENGTHS, METRICS, RECIPE, SAMPLES, TEMPLATE, absent, checkpoint_folder, discard,
    is_leftover, is_own_checkpoint, write,
};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// There while a run is being started: what then lies in the folder is no run yet, and begun anew.
const STARTING: &str = ".starting";
const LOCK: &str = ".lock";
/// How often a lock is tried, and how long after another.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);

/// A run folder that this process alone writes to, as long as this value lives.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The folder itself, whatever its name becomes.
    folder: File,
    /// Unlocked when it is closed.
    _lock: File,
}

impl RunFolder {
    /// Takes a folder for this process; where there is none, it is made.
    ///
    /// # Errors
    /// Where it cannot be made or written, or another process has taken it.
    pub fn take(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(|error| Error::io("create the run folder", path, error))?;
        let folder = File::open(path).map_err(|error| Error::io("open the run folder", path, error))?;
        let run = Self { path: path.to_owned(), folder, _lock: lock(path)? };
        run.check().map(|()| run)
    }

    /// Whether a folder holds a run: with its recipe, it does.
    pub fn is_run(path: &Path) -> bool {
        path.join(RECIPE).exists()
    }

    /// Whether the start of a run was broken off in a folder.
    pub fn is_starting(path: &Path) -> bool {
        path.join(STARTING).exists() && !Self::is_run(path)
    }

    /// Whether a process writes to a folder.
    pub fn is_taken(path: &Path) -> bool {
        let is_locked = |file: File| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        File::open(path.join(LOCK)).is_ok_and(is_locked)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// That its path still leads to it: it may have been moved or deleted meanwhile, and another have its name.
    pub fn check(&self) -> Result<(), Error> {
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let own =
            self.folder.metadata().map(id).map_err(|error| Error::io("open the run folder", &self.path, error))?;
        if fs::metadata(&self.path).is_ok_and(|there| id(there) == own) {
            return Ok(());
        }
        let reason = "this folder was moved, deleted or replaced while it was trained in, so nothing more is saved. If it \
                      was moved, it still holds its last checkpoint: go on with it with --resume, and its new place as \
                      --run";
        Err(Error::Run { path: self.path.clone(), reason: reason.to_owned() })
    }

    /// Makes room for a new run: what the broken-off start of another left here is removed. Of anybody else's files, and
    /// of a run, nothing is.
    pub fn begin(&self) -> Result<(), Error> {
        if Self::is_run(&self.path) {
            let reason = "it already holds a run. Choose another folder with --run, or remove this one";
            return Err(Error::Occupied { path: self.path.clone(), reason: reason.to_owned() });
        }
        let mut names =
            [RECIPE, TEMPLATE, LENGTHS, METRICS, SAMPLES, CHECKPOINTS, BEST, LAST].iter().chain(&Tokenizers::FILES);
        if let Some(found) =
            names.find(|name| !Self::is_starting(&self.path) && self.join(name).symlink_metadata().is_ok())
        {
            let reason = format!(
                "it has no {RECIPE}, but '{found}', which would be overwritten. Choose another folder with --run"
            );
            return Err(Error::Occupied { path: self.path.clone(), reason });
        }
        self.clear()
    }

    /// Removes a run, and nothing that is not a run's. From the first moment on it is a run no more.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub fn clear(&self) -> Result<(), Error> {
        // First the sign by which, should this be broken off, the rest is known for what it is; then what makes it a run.
        write(&self.join(STARTING), b"")?;
        let files = [RECIPE, BEST, LAST, METRICS, SAMPLES, TEMPLATE, LENGTHS];
        for path in files.iter().chain(&Tokenizers::FILES).map(|name| self.join(name)) {
            absent(fs::remove_file(&path)).map_err(|error| Error::io("remove", &path, error))?;
        }
        self.prune(&[])?;
        // With what others put there, it stays.
        let _ = fs::remove_dir(self.join(CHECKPOINTS));
        ["train", "validation"].iter().try_for_each(|text| Corpus::remove(&self.join(DATA).join(text)))?;
        Ok(())
    }

    /// Writes the recipe, with which the folder becomes a run: the last step of its start.
    pub fn finish(&self, recipe: &Recipe) -> Result<(), Error> {
        self.write_recipe(recipe)?;
        self.has_started()
    }

    /// Removes the sign that it is being started.
    pub fn has_started(&self) -> Result<(), Error> {
        let marker = self.join(STARTING);
        absent(fs::remove_file(&marker)).map_err(|error| Error::io("remove", &marker, error))
    }

    /// Writes the resolved recipe.
    pub fn write_recipe(&self, recipe: &Recipe) -> Result<(), Error> {
        self.check()?;
        let path = self.join(RECIPE);
        let text = recipe.to_toml().map_err(|reason| Error::Recipe { path: path.clone(), reason })?;
        write(&path, text.as_bytes())?;
        self.folder.sync_all().map_err(|error| Error::io("write", &path, error))
    }

    /// Makes `link` point at a checkpoint, in one step.
    pub fn point(&self, link: &str, checkpoint: &Path) -> Result<(), Error> {
        self.check()?;
        let (temporary, place) = (self.join(&format!(".{link}")), self.join(link));
        let target = Path::new(CHECKPOINTS).join(checkpoint.file_name().unwrap_or_default());
        absent(fs::remove_file(&temporary))
            .and_then(|()| symlink(target, &temporary))
            .and_then(|()| fs::rename(&temporary, &place))
            // What the link pointed at before is removed next: not before the disk has the new one.
            .and_then(|()| self.folder.sync_all())
            .map_err(|error| Error::io("update the link", &place, error))
    }

    /// Makes `best` point at the checkpoint of this step, or at nothing, as before a validation that is discarded.
    pub fn point_back(&self, step: Option<u64>) -> Result<(), Error> {
        let place = step.map(|step| checkpoint_folder(&self.path, step));
        match place {
            Some(place) if place.exists() => self.point(BEST, &place),
            Some(_) => Ok(()),
            None => {
                let link = self.join(BEST);
                absent(fs::remove_file(&link)).map_err(|error| Error::io("remove", &link, error))
            }
        }
    }

    /// Removes those of our checkpoints that neither `best` nor `last` points at and that are of none of the steps `also`, and
    /// what a broken-off save or removal left. All else that lies beside them is somebody's own.
    pub fn prune(&self, also: &[u64]) -> Result<(), Error> {
        self.check()?;
        let links = [BEST, LAST].map(|link| self.join(link)).into_iter();
        let also = also.iter().map(|&step| checkpoint_folder(&self.path, step));
        let kept: Vec<PathBuf> = links.chain(also).filter_map(|place| fs::canonicalize(place).ok()).collect();
        let checkpoints = self.join(CHECKPOINTS);
        let list = |error| Error::io("list the checkpoints in", &checkpoints, error);
        let entries = match fs::read_dir(&checkpoints) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(list)?,
        };
        for entry in entries {
            let path = entry.map_err(list)?.path();
            let remove = |error| Error::io("remove the old checkpoint", &path, error);
            if is_leftover(&path) {
                absent(fs::remove_dir_all(&path)).map_err(remove)?;
            } else if is_own_checkpoint(&path) && !fs::canonicalize(&path).is_ok_and(|path| kept.contains(&path)) {
                discard(&path).map_err(remove)?;
            }
        }
        Ok(())
    }
}

/// Takes a run folder for this process alone, as long as the file is open.
fn lock(run: &Path) -> Result<File, Error> {
    let path = run.join(LOCK);
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    let file = file.map_err(|error| Error::io("write", &path, error))?;
    for attempt in 1.. {
        match file.try_lock() {
            // Whoever only looks whether it is taken has it for a moment.
            Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { path: run.to_owned() }),
            // Some file systems have no locks: then nobody is kept out.
            Ok(()) | Err(TryLockError::Error(_)) => break,
        }
    }
    Ok(file)
}
