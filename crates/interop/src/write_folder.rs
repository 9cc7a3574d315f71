//! Writes a folder as a whole or not at all, and the files in it.

use crate::Error;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

/// That a file to write is not there already.
///
/// # Errors
/// Where it is.
pub(crate) fn refuse_existing(path: &Path) -> Result<(), Error> {
    match path.symlink_metadata() {
        Ok(_) => Err(Error::folder(path, "it is there already. Choose another name")),
        Err(_) => Ok(()),
    }
}

/// Writes a folder: beside its place, and renamed when it is whole, so that it is complete or absent.
pub(crate) fn whole(folder: &Path, fill: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    if let Some(kind) = folder.extension().and_then(|kind| kind.to_str()).filter(|kind| is_file_kind(kind)) {
        let reason = format!(
            "a model is written as a folder, and .{kind} is the name of a file: leave it out. A file is written for \
             llama.cpp, with the name ending in .gguf"
        );
        return Err(Error::folder(folder, reason));
    }
    let write = |error| Error::io("write", folder, error);
    let is_free = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == ErrorKind::NotFound && !folder.is_symlink(),
    };
    let name = folder.file_name().filter(|_| is_free);
    let Some(name) = name else {
        return Err(Error::folder(folder, "it is there already, and not an empty folder. Choose another"));
    };
    let mut partial = name.to_owned();
    partial.push(".partial");
    let partial = folder.with_file_name(partial);
    if partial.exists() {
        // Of an export that was broken off.
        fs::remove_dir_all(&partial).map_err(write)?;
    }
    let finish = || {
        fs::create_dir_all(&partial).map_err(write)?;
        fill(&partial)?;
        for entry in fs::read_dir(&partial).map_err(write)? {
            entry.and_then(|entry| File::open(entry.path())?.sync_all()).map_err(write)?;
        }
        if folder.exists() {
            fs::remove_dir(folder).map_err(write)?;
        }
        fs::rename(&partial, folder).map_err(write)
    };
    finish().inspect_err(|_| {
        // Half a model is none.
        let _ = fs::remove_dir_all(&partial);
    })
}

/// Whether files of models, or of archives, end so.
fn is_file_kind(extension: &str) -> bool {
    let known = [
        "onnx",
        "pt",
        "pth",
        "bin",
        "safetensors",
        "ckpt",
        "h5",
        "hdf5",
        "keras",
        "npz",
        "npy",
        "pkl",
        "pickle",
        "joblib",
        "tflite",
        "pb",
        "mlmodel",
        "mlpackage",
        "mar",
        "nemo",
        "engine",
        "plan",
        "msgpack",
        "ggml",
        "model",
        "spm",
        "json",
        "toml",
        "txt",
        "zip",
        "gz",
        "tgz",
        "tar",
        "xz",
        "zst",
        "7z",
    ];
    known.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// A tensor's name, shape and values.
pub(crate) type Named = (String, Vec<usize>, Vec<f32>);

pub(crate) fn write_tensors(path: &Path, tensors: &[Named]) -> Result<(), Error> {
    let views = tensors.iter().map(|(name, shape, values)| {
        Ok((name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values))?))
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    views
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .and_then(|views| descant_inference::write_tensors(path, views, Some(metadata)))
        .map_err(|error| Error::folder(path, format!("it could not be written: {error}")))
}

pub(crate) fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> Result<(), Error> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(|error| Error::io("write", &path, error))
}

pub(crate) fn pretty(json: &Value) -> String {
    format!("{json:#}\n")
}
