//! Checkpoints: written beside their place, synced and renamed; verified by checksums.

mod load;

use crate::progress::Progress;
use crate::provenance::Provenance;
use crate::run_folder::layout::{
    CARRIED_STATE, MANIFEST, MODEL, OPTIMIZER, WEIGHTS, beside, checkpoint_folder, discard, is_own_checkpoint,
};
use crate::weight_tensors::{Part, parts};
use crate::weight_types::weights_of;
use crate::{Error, RunFolder, TensorFile};
use descant_autograd::Parameters;
use descant_tensor::{Buffer, Tensor};
use descant_text::{open_file, read_file};
use safetensors::tensor::{SafeTensorError, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The version of the format this program writes, and the newest it reads. 2: gradients of the shares are added along a
/// binary tree, and the optimizer's state has no place for what is frozen. The weights of 1 are read, but no training goes
/// on from it.
const FORMAT: u32 = 2;
/// The version of a checkpoint whose weights are in reduced precision.
const REDUCED_FORMAT: u32 = 3;

/// What a manifest of any format has.
#[derive(Debug, Deserialize)]
struct Format {
    format: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    #[serde(flatten)]
    progress: Progress,
    optimizer_steps: u64,
    /// The precision of the weights, where it is a reduced one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights: Option<String>,
    /// CRC-32 of each file.
    files: BTreeMap<String, u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<Provenance>,
    /// CRC-32 of this manifest without this line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<u32>,
}

impl Manifest {
    /// What [`Manifest::checksum`] is to be, as long as that is not there.
    fn sum(&self) -> serde_json::Result<u32> {
        Ok(crc32fast::hash(&serde_json::to_vec(self)?))
    }
}

/// What to do about a checkpoint that is damaged.
const REMEDY: &str = "Use another of the run's checkpoints: name its folder, or, to go on from it with --resume, let the \
                      link 'last' point at it";

/// What a checkpoint holds.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    /// The weights to write texts with.
    pub model: &'a Parameters,
    /// The weights that training goes on with, where those of `model` are their average.
    pub weights: Option<&'a Parameters>,
    /// None for a model that no training goes on from.
    pub optimizer: Option<OptimizerState<'a>>,
    /// The recurrent state that training goes on from, by name; none where it carries none.
    pub carried: Vec<(String, &'a Tensor)>,
}

/// The state of an optimizer: its steps, and its buffers by name.
#[derive(Clone, Debug)]
pub struct OptimizerState<'a> {
    /// Steps done.
    pub steps: u64,
    /// The buffers, in the optimizer's order.
    pub buffers: Vec<(&'a str, &'a Buffer)>,
}

/// Writes a checkpoint: beside its place, synced, then renamed, so that it is complete or absent.
pub fn save(
    run: &RunFolder,
    content: Content<'_>,
    progress: &Progress,
    provenance: &Provenance,
) -> Result<PathBuf, Error> {
    let place = checkpoint_folder(run.path(), progress.step);
    let partial = beside(&place, "partial");
    run.check()?;
    let written = write_all(&partial, content, progress, provenance);
    // What there is of it would only take the space of the next one.
    let withdraw = |error| {
        let _ = fs::remove_dir_all(&partial);
        error
    };
    written.and_then(|()| run.check()).map_err(withdraw)?;
    // A run that was broken off comes here again with the same bits: what is there stays then, if it is whole.
    let whole = || {
        Checkpoint::open(&place)
            .is_ok_and(|there| there.manifest.files.keys().all(|name| there.read_tensors(name, |_| Ok(())).is_ok()))
    };
    if read_file(&place.join(MANIFEST)).ok() == read_file(&partial.join(MANIFEST)).ok() && whole() {
        fs::remove_dir_all(&partial).map_err(|error| Error::io("remove", &partial, error))?;
        return Ok(place);
    }
    put(&partial, &place).map_err(|error| withdraw(Error::io("write the checkpoint", &place, error)))?;
    Ok(place)
}

/// Puts a complete checkpoint in its place. One of ours that is there is exchanged for it, so that no link to it ever dangles.
fn put(partial: &Path, place: &Path) -> io::Result<()> {
    let sync = || File::open(place.parent().unwrap_or(Path::new(".")))?.sync_all();
    if is_own_checkpoint(place) && exchange(partial, place).is_ok() {
        sync()?;
        // The former one has this name now.
        return fs::remove_dir_all(partial);
    }
    make_room(place)?;
    fs::rename(partial, place)?;
    sync()
}

/// Exchanges the names of two folders in one step, where the system and its file system can.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
    }
    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    {
        let _ = (one, other);
        Err(ErrorKind::Unsupported.into())
    }
}

/// Takes away what stands in a checkpoint's place: ours for good, somebody's own to a name that is free.
fn make_room(place: &Path) -> io::Result<()> {
    if place.symlink_metadata().is_err() {
        return Ok(());
    }
    if is_own_checkpoint(place) {
        return discard(place);
    }
    let name = |i: u64| place.with_extension(format!("kept-{i}"));
    let free = (1..).map(name).find(|path| path.symlink_metadata().is_err());
    free.map_or(Ok(()), |path| fs::rename(place, path))
}

fn write_all(partial: &Path, content: Content<'_>, progress: &Progress, provenance: &Provenance) -> Result<(), Error> {
    let Content { model, weights, optimizer, carried } = content;
    let write = |error| Error::io("write the checkpoint", partial, error);
    if partial.exists() {
        fs::remove_dir_all(partial).map_err(write)?;
    }
    // Never the path to it: a run folder that was moved or deleted does not come again.
    match partial.parent().map(fs::create_dir) {
        Some(Err(error)) if error.kind() != ErrorKind::AlreadyExists => return Err(write(error)),
        _ => fs::create_dir(partial).map_err(write)?,
    }
    let mut files = BTreeMap::from([(MODEL.to_owned(), write_tensors(partial, MODEL, &parts(model))?)]);
    if let Some(weights) = weights {
        files.insert(WEIGHTS.to_owned(), write_tensors(partial, WEIGHTS, &parts(weights))?);
    }
    let optimizer_steps = optimizer.as_ref().map_or(0, |optimizer| optimizer.steps);
    if let Some(OptimizerState { buffers, .. }) = optimizer {
        let state = buffers.into_iter();
        let state = state.map(|(name, buffer)| Part::of(name, vec![buffer.len()], buffer, 0..buffer.len()));
        files.insert(OPTIMIZER.to_owned(), write_tensors(partial, OPTIMIZER, &state.collect::<Vec<_>>())?);
    }
    if !carried.is_empty() {
        let state = carried.iter().map(|(name, tensor)| {
            let shape = tensor.shape();
            Part::of(name, shape.dims().to_vec(), tensor.buffer(), 0..shape.len())
        });
        let crc = write_tensors(partial, CARRIED_STATE, &state.collect::<Vec<_>>())?;
        files.insert(CARRIED_STATE.to_owned(), crc);
    }
    let progress = progress.clone();
    let run = Some(provenance.clone());
    let weights = weights_of(model).map(|weights| weights.name().to_owned());
    let format = if weights.is_some() { REDUCED_FORMAT } else { FORMAT };
    let mut manifest = Manifest { format, progress, optimizer_steps, weights, files, run, checksum: None };
    let unwritten =
        |error: serde_json::Error| Error::Checkpoint { path: partial.to_owned(), reason: error.to_string() };
    manifest.checksum = Some(manifest.sum().map_err(unwritten)?);
    let path = partial.join(MANIFEST);
    fs::write(&path, serde_json::to_string_pretty(&manifest).map_err(unwritten)?)
        .and_then(|()| File::open(&path)?.sync_all())
        .map_err(|error| Error::io("write the checkpoint", &path, error))?;
    File::open(partial).and_then(|folder| folder.sync_all()).map_err(write)
}

/// Writes a file of tensors, straight from their buffers, and returns its CRC-32.
fn write_tensors(folder: &Path, name: &str, parts: &[Part<'_>]) -> Result<u32, Error> {
    let path = folder.join(name);
    let views = parts.iter().map(|part| {
        let view = TensorView::new(part.dtype, part.shape.clone(), &part.bytes);
        view.map(|view| (part.name.clone(), view))
    });
    let io = |error| Error::io("write the checkpoint", &path, error);
    let written =
        views.collect::<Result<Vec<_>, _>>().and_then(|views| crate::tensors::write_tensors(&path, views, None));
    written.map_err(|error| match error {
        SafeTensorError::IoError(error) => io(error),
        error => Error::Checkpoint { path: path.clone(), reason: format!("its tensors could not be written: {error}") },
    })?;
    let file = File::open(&path).map_err(io)?;
    file.sync_all().map_err(io)?;
    TensorFile::of(file).and_then(TensorFile::checksum).map_err(io)
}

/// A checkpoint's folder, its manifest read and its files verified.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    manifest: Manifest,
    /// Opened at once: a training that runs meanwhile may remove them.
    files: BTreeMap<String, File>,
}

impl Checkpoint {
    /// Opens a checkpoint's folder, or the link to it.
    pub fn open(link: &Path) -> Result<Self, Error> {
        // The link is read once: all files are of one checkpoint.
        let path = match fs::read_link(link) {
            Ok(target) => link.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => link.to_owned(),
        };
        let place = path.join(MANIFEST);
        let bytes = read_file(&place).map_err(|error| Error::io("read the checkpoint's manifest", &place, error))?;
        let damaged = |reason: String| Error::Checkpoint { path: path.clone(), reason };
        let broken = |error: serde_json::Error| damaged(format!("{MANIFEST} is damaged ({error}). {REMEDY}"));
        let Format { format } = serde_json::from_slice(&bytes).map_err(broken)?;
        if format > REDUCED_FORMAT {
            return Err(damaged(format!(
                "it has format {format}, this program reads up to {REDUCED_FORMAT}. Use a newer descant"
            )));
        }
        let mut manifest: Manifest = serde_json::from_slice(&bytes).map_err(broken)?;
        if let Some(checksum) = manifest.checksum.take()
            && checksum != manifest.sum().map_err(broken)?
        {
            return Err(damaged(format!("{MANIFEST} is damaged: its checksum is another. {REMEDY}")));
        }
        let open = |name: &String| {
            let path = path.join(name);
            let file = open_file(&path).map_err(|error| Error::io("read the checkpoint", &path, error));
            file.map(|file| (name.clone(), file))
        };
        let files = manifest.files.keys().map(open).collect::<Result<_, _>>()?;
        Ok(Self { path, manifest, files })
    }

    /// The version of its format, where that is an older one than this program writes.
    pub fn older_format(&self) -> Option<u32> {
        Some(self.manifest.format).filter(|&format| format < FORMAT)
    }

    /// Where it comes from; one of an older program does not say.
    pub fn provenance(&self) -> Option<&Provenance> {
        self.manifest.run.as_ref()
    }

    /// CRC-32 of the weights to write texts with.
    pub fn checksum(&self) -> Option<u32> {
        self.manifest.files.get(MODEL).copied()
    }

    /// Whether a training goes on from it: it has an optimizer's state.
    pub fn is_of_training(&self) -> bool {
        self.manifest.files.contains_key(OPTIMIZER)
    }

    /// Where its training stands.
    pub fn progress(&self) -> &Progress {
        &self.manifest.progress
    }

    fn damaged(&self, reason: String) -> Error {
        Error::Checkpoint { path: self.path.clone(), reason }
    }

    fn corrupt(&self, name: &str) -> Error {
        self.damaged(format!("{name} is truncated or corrupt: its checksum is not the manifest's. {REMEDY}"))
    }

    /// Reads the weights to write texts with into `parameters`, which must be those of the same architecture.
    pub fn load_model(&self, parameters: &mut Parameters) -> Result<(), Error> {
        self.load(MODEL, parameters)
    }

    /// Reads the weights that training goes on with.
    pub fn load_weights(&self, parameters: &mut Parameters) -> Result<(), Error> {
        if let Some(weights) = &self.manifest.weights {
            return Err(self.damaged(format!(
                "its weights are in {weights}, for inference alone. Train on from the run that descant quantize made it of"
            )));
        }
        self.load(if self.manifest.files.contains_key(WEIGHTS) { WEIGHTS } else { MODEL }, parameters)
    }

    /// Bytes of the weights to write texts with.
    pub fn model_size(&self) -> u64 {
        self.files.get(MODEL).and_then(|file| file.metadata().ok()).map_or(0, |file| file.len())
    }

    /// Reads a file of weights, each straight to its place.
    fn load(&self, name: &str, parameters: &mut Parameters) -> Result<(), Error> {
        self.read_tensors(name, |file| self.load_each(file, parameters))
    }

    /// What `read` makes of a file of tensors. A wrong checksum is reported first, as such a file may hold anything.
    fn read_tensors<T>(&self, name: &str, read: impl FnOnce(&mut TensorFile) -> Result<T, Error>) -> Result<T, Error> {
        let path = self.path.join(name);
        let unread = |error| Error::io("read the checkpoint", &path, error);
        let (Some(file), Some(&crc)) = (self.files.get(name), self.manifest.files.get(name)) else {
            return Err(self.corrupt(name));
        };
        let mut file = file.try_clone().and_then(TensorFile::of).map_err(unread)?;
        let found = read(&mut file);
        match file.checksum().map_err(unread)? == crc {
            true => found,
            false => Err(self.corrupt(name)),
        }
    }

    /// The steps of the optimizer, and its buffers: those of these names, each as long and of the same type as the one here.
    ///
    /// # Errors
    /// Where it has no such state, or cannot be read.
    pub fn load_optimizer(&self, state: &[(&str, &Buffer)]) -> Result<(u64, Vec<Buffer>), Error> {
        if !self.is_of_training() {
            return Err(self.damaged(
                "it holds weights alone, so that no training goes on from it. Start one from them: init = \"RUN\" in a \
                 recipe"
                    .to_owned(),
            ));
        }
        // For what is frozen, format 1 had places too.
        let of_another_length = |name: &str, len: usize| {
            let why = match self.manifest.format {
                1 => "it is of an older descant. Start a run from it: init = \"RUN\" in a recipe",
                _ => "it is another optimizer's",
            };
            self.damaged(format!("its optimizer state has no '{name}' of {len} numbers: {why}"))
        };
        let buffers = self.read_tensors(OPTIMIZER, |file| self.optimizer_state(file, state))?;
        let buffers = state.iter().zip(buffers);
        let buffers = buffers.map(|((name, own), read)| read.ok_or_else(|| of_another_length(name, own.len())));
        Ok((self.manifest.optimizer_steps, buffers.collect::<Result<_, _>>()?))
    }

    /// Buffers of an optimizer's state, in its own order; nothing where one of that length is not there.
    fn optimizer_state(&self, file: &mut TensorFile, state: &[(&str, &Buffer)]) -> Result<Vec<Option<Buffer>>, Error> {
        let tensors = file.tensors().map_err(|reason| self.damaged(format!("{OPTIMIZER}: {reason}")))?.to_vec();
        let mut read = BTreeMap::new();
        for (name, tensor) in &tensors {
            let Some((name, own)) = state.iter().find(|(own, _)| own == name) else { continue };
            if tensor.shape != [own.len()] {
                continue;
            }
            let mut buffer = Buffer::zeros(own.dtype(), own.len());
            match &mut buffer {
                Buffer::F32(values) => file.read_f32(tensor, values),
                Buffer::F64(values) => file.read_f64(tensor, values),
            }
            .map_err(|error| Error::io("read the checkpoint", &self.path.join(OPTIMIZER), error))?;
            read.insert(*name, buffer);
        }
        Ok(state.iter().map(|(name, _)| read.remove(name)).collect())
    }

    /// Reads the recurrent state that training goes on from: the tensors of these names and shapes.
    ///
    /// # Errors
    /// Where it has no such state, or cannot be read.
    pub fn load_carried<'a>(&self, state: impl Iterator<Item = (String, &'a mut Tensor)>) -> Result<(), Error> {
        let mut missing: BTreeMap<String, &mut Tensor> = state.collect();
        self.read_tensors(CARRIED_STATE, |file| {
            let unread = |error| Error::io("read the checkpoint", &self.path.join(CARRIED_STATE), error);
            let wrong = |reason: &str| self.damaged(format!("{CARRIED_STATE}: {reason}. {REMEDY}"));
            for (name, tensor) in &file.tensors().map_err(wrong)?.to_vec() {
                let Some(own) = missing.get_mut(name).filter(|own| tensor.shape == own.shape().dims()) else {
                    continue;
                };
                let mut values = vec![0.0; own.shape().len()];
                file.read_f32(tensor, &mut values).map_err(unread)?;
                own.assign(own.shape(), &values).map_err(|error| wrong(&error.to_string()))?;
                missing.remove(name);
            }
            match missing.first_key_value() {
                Some((name, own)) => Err(wrong(&format!("it has no '{name}' of shape {}", own.shape()))),
                None => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{MANIFEST, put};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tempfile::TempDir;

    #[test]
    fn a_checkpoint_that_is_written_again_is_never_absent() {
        let folder = TempDir::new().unwrap();
        let (partial, place) = (folder.path().join(".step-00000010.partial"), folder.path().join("step-00000010"));
        let last = folder.path().join("last");
        symlink("step-00000010", &last).unwrap();
        let again = |content: usize| {
            fs::create_dir(&partial).unwrap();
            fs::write(partial.join(MANIFEST), content.to_string()).unwrap();
            put(&partial, &place).unwrap();
            assert_eq!(fs::read_to_string(last.join(MANIFEST)).unwrap(), content.to_string());
            assert!(!partial.exists());
        };
        again(0);
        let ends = AtomicBool::new(false);
        let absent = std::thread::scope(|scope| {
            let watch = || {
                let mut absent = 0;
                while !ends.load(Ordering::Relaxed) {
                    absent += usize::from(!last.join(MANIFEST).exists());
                }
                absent
            };
            let watch = scope.spawn(watch);
            (1..200).for_each(again);
            ends.store(true, Ordering::Relaxed);
            watch.join().unwrap()
        });
        assert_eq!(absent, 0);
    }
}
