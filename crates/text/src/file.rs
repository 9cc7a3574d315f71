//! Files that are read whole: recipes, manifests, templates, tokenizers.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Bytes that such a file may have.
const LONGEST: u64 = 1 << 28;

/// The bytes of a file.
///
/// # Errors
/// Where it is no regular file, so that a pipe or a device is not waited for, or larger than 256 MB; what the system says.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = fs::metadata(path)?;
    match file.len() {
        _ if file.is_dir() => Err(ErrorKind::IsADirectory.into()),
        _ if !file.is_file() => Err(Error::other("it is no regular file")),
        bytes if bytes > LONGEST => Err(Error::other(format!("it has {bytes} bytes, expected at most {LONGEST}"))),
        _ => fs::read(path),
    }
}

/// The text of a file.
///
/// # Errors
/// As [`read_file`]; where it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_file(path)?).map_err(|error| Error::new(ErrorKind::InvalidData, error.utf8_error()))
}
