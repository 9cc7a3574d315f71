//! Files of a run that a training appends JSON objects to, a line each: `metrics.jsonl`, `samples.jsonl`.

use descant_inference::Error;
use descant_inference::layout::write;
use descant_text::read_file;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Such a file.
#[derive(Debug)]
pub(crate) struct LineFile {
    path: PathBuf,
    file: File,
}

/// The objects of such a file, and how many of its lines cannot be read; none where there is no file.
///
/// # Errors
/// Where it is there and cannot be read.
pub(crate) fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<(Vec<T>, usize), Error> {
    if !path.exists() {
        return Ok((Vec::new(), 0));
    }
    let bytes = read_file(path).map_err(|error| Error::io("read", path, error))?;
    let (mut objects, mut unread) = (Vec::new(), 0);
    for line in String::from_utf8_lossy(&bytes).lines() {
        match serde_json::from_str(line) {
            Ok(object) => objects.push(object),
            Err(_) => unread += 1,
        }
    }
    Ok((objects, unread))
}

impl LineFile {
    /// Opens it to go on after those lines that stay: what an interrupted run wrote beyond its checkpoint is dropped, as it will be written
    /// again. Also, how many lines could not be read, and are dropped too.
    pub(crate) fn open<T: DeserializeOwned>(path: PathBuf, stays: impl Fn(&T) -> bool) -> Result<(Self, usize), Error> {
        let fail = |error| Error::io("write to", &path, error);
        let mut unread = 0;
        if path.exists() {
            let bytes = read_file(&path).map_err(fail)?;
            // A last line without its end is what a process was writing when it was killed.
            let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            let mut kept = String::new();
            for line in String::from_utf8_lossy(&bytes[..whole]).lines() {
                match serde_json::from_str::<T>(line) {
                    Ok(object) if stays(&object) => kept.extend([line, "\n"]),
                    Ok(_) => {}
                    Err(_) => unread += 1,
                }
            }
            // Also where it is the same: a file of its own, if a copy of the run shares it by a hard link.
            write(&path, kept.as_bytes())?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(fail)?;
        Ok((Self { path, file }, unread))
    }

    pub(crate) fn write(&mut self, object: &impl Serialize) -> Result<(), Error> {
        let line = serde_json::to_string(object).unwrap_or_default() + "\n";
        self.file.write_all(line.as_bytes()).map_err(|error| Error::io("write to", &self.path, error))
    }

    /// That the disk has all lines: before it has a checkpoint that goes on after them.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|error| Error::io("write to", &self.path, error))
    }
}
