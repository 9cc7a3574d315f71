//! Files: those that are read whole, such as recipes, manifests, templates and tokenizers; and how all are opened and written.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Result, Write};
use std::path::Path;

/// Bytes that a file may have which is read whole.
const LONGEST: u64 = 1 << 28;

/// Opens a file to be read.
///
/// # Errors
/// Where it is no regular file, so that a pipe is not waited for and a device not read without end; what the system says.
pub fn open_file(path: &Path) -> Result<File> {
    let there = fs::metadata(path)?;
    match there.is_file() {
        _ if there.is_dir() => Err(ErrorKind::IsADirectory.into()),
        true => File::open(path),
        false => Err(Error::other("it is no regular file")),
    }
}

/// The bytes of a file.
///
/// # Errors
/// As [`open_file`]; where it is larger than 256 MB.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    match open_file(path)?.metadata()?.len() {
        bytes if bytes > LONGEST => Err(Error::other(format!("it has {bytes} bytes, expected at most {LONGEST}"))),
        _ => fs::read(path),
    }
}

/// The text of a file.
///
/// # Errors
/// As [`read_file`]; where it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_file(path)?).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        let byte = valid.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        Error::new(ErrorKind::InvalidData, NotUtf8 { line, byte })
    })
}

/// Where a text is not UTF-8.
#[derive(Debug, thiserror::Error)]
#[error(
    "line {line}: byte {byte} of the line is not UTF-8. Convert the file to UTF-8 (such as with iconv), or mend the line"
)]
pub(crate) struct NotUtf8 {
    /// From 1.
    pub(crate) line: u64,
    /// Within the line, from 1.
    pub(crate) byte: usize,
}

/// Writes a file as a whole: beside its place, under a name of its own, synced, then renamed, so that what stands there is
/// the old one or the new. A new one has the permissions of the old. What a write that was broken off left goes with the
/// next one to the same place, which has one writer at a time.
///
/// # Errors
/// What the system says; then nothing of it is left.
pub fn write_file(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    // Short, as the name may be as long as one can be.
    let name = crc32fast::hash(path.file_name().ok_or(ErrorKind::InvalidInput)?.as_encoded_bytes());
    let partial = path.with_file_name(format!(".{name:08x}.partial"));
    let _ = fs::remove_file(&partial);
    let written = File::create_new(&partial).and_then(|mut file| {
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        write(&mut file)?;
        file.flush()?;
        file.sync_all()?;
        fs::rename(&partial, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("endless");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for path in [&link, folder.path()] {
            assert!(open_file(path).is_err() && read_file(path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn what_is_not_utf_8_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, b"one\ntw\xffo\n").unwrap();
        let error = read_text(&path).unwrap_err();
        assert!(error.to_string().starts_with("line 2: byte 3 of the line is not UTF-8. Convert"), "{error}");
        assert_eq!((error.kind(), crate::remedy(&error)), (ErrorKind::InvalidData, ""));
    }

    #[test]
    fn a_file_is_the_old_one_until_it_is_the_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let beside = folder.path().join("a.json.partial");
        fs::write(&beside, "somebody's own").unwrap();
        write_file(&path, |file| file.write_all(b"old")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let broken_off = write_file(&path, |file| file.write_all(b"new").and(Err(Error::other("no space"))));
        assert_eq!(broken_off.unwrap_err().to_string(), "no space");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_file(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read(&beside).unwrap(), b"somebody's own");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
