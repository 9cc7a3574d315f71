use crate::TextError;
use crate::zst::Zst;
use flate2::read::MultiGzDecoder;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The most bytes that a line may have, where each line is a sequence of its own.
pub const LONGEST_LINE: usize = 1 << 16;
/// The same of a line that is a JSON object, such as a whole conversation.
const LONGEST_OBJECT: usize = 1 << 24;

/// The lines of a text file in UTF-8, plain, `.gz` or `.zst`, one at a time.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    /// Whether it is one continuous text: then line ends are kept, and long lines come in pieces.
    continuous: bool,
    /// The most bytes of a line, or of a piece.
    longest: usize,
    buffer: Vec<u8>,
    line: u64,
    any: bool,
}

impl Lines {
    /// Opens a file. Line ends are left out, whether of Unix or of Windows.
    ///
    /// # Errors
    /// Where there is no such file, or it is a folder.
    pub fn open(path: &Path) -> Result<Self, TextError> {
        Self::new(path, false, LONGEST_LINE)
    }

    /// Opens a file of JSON objects, one a line, which may be longer than other lines.
    ///
    /// # Errors
    /// As [`Lines::open`].
    pub fn objects(path: &Path) -> Result<Self, TextError> {
        Self::new(path, false, LONGEST_OBJECT)
    }

    /// Opens a file as one continuous text: in pieces of at most [`LONGEST_LINE`] bytes that joined are the text.
    ///
    /// # Errors
    /// As [`Lines::open`].
    pub fn continuous(path: &Path) -> Result<Self, TextError> {
        Self::new(path, true, LONGEST_LINE)
    }

    fn new(path: &Path, continuous: bool, longest: usize) -> Result<Self, TextError> {
        let read = |error| TextError::io("read", path, error);
        if fs::metadata(path).map_err(read)?.is_dir() {
            return Err(TextError::Folder { path: path.to_owned() });
        }
        let file = BufReader::with_capacity(1 << 16, File::open(path).map_err(read)?);
        let reader: Box<dyn BufRead + Send> = match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            Some("zst") => Box::new(BufReader::new(Zst::new(file))),
            _ => Box::new(file),
        };
        Ok(Self { path: path.to_owned(), reader, continuous, longest, buffer: Vec::new(), line: 0, any: false })
    }

    /// The number of the line that was read last, from 1.
    pub fn number(&self) -> u64 {
        self.line
    }

    /// The next line, or none at the end.
    ///
    /// # Errors
    /// Where it cannot be read, is not UTF-8, or is too long.
    pub fn read(&mut self) -> Result<Option<String>, TextError> {
        let mut ended = false;
        while !ended && self.buffer.len() < self.longest {
            let chunk = self.reader.fill_buf().map_err(|error| TextError::io("read", &self.path, error))?;
            if chunk.is_empty() {
                break;
            }
            let line_end = memchr::memchr(b'\n', chunk);
            let taken = line_end.map_or(chunk.len(), |at| at + 1).min(self.longest - self.buffer.len());
            ended = line_end.is_some_and(|at| at < taken);
            self.buffer.extend_from_slice(&chunk[..taken]);
            self.reader.consume(taken);
        }
        if self.buffer.is_empty() {
            return if self.any { Ok(None) } else { Err(TextError::Empty { path: self.path.clone() }) };
        }
        let cut = !ended && self.buffer.len() == self.longest;
        if cut && !self.continuous {
            return Err(TextError::LongLine { path: self.path.clone(), line: self.line + 1, longest: self.longest });
        }
        let mut line = std::mem::take(&mut self.buffer);
        if cut {
            // A character may have been cut too: its beginning goes with the next piece.
            let valid = match std::str::from_utf8(&line) {
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                _ => line.len(),
            };
            self.buffer = line.split_off(valid);
        } else {
            self.line += 1;
        }
        if !self.continuous && line.pop_if(|byte| *byte == b'\n').is_some() {
            line.pop_if(|byte| *byte == b'\r');
        }
        let first = !std::mem::replace(&mut self.any, true);
        let mut text = String::from_utf8(line).map_err(|error| TextError::Utf8 {
            path: self.path.clone(),
            line: self.line + u64::from(cut),
            byte: error.utf8_error().valid_up_to() + 1,
        })?;
        if first && text.starts_with('\u{feff}') {
            text.remove(0);
        }
        Ok(Some(text))
    }
}

impl Iterator for Lines {
    type Item = Result<String, TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn all(lines: Lines) -> Result<Vec<String>, TextError> {
        lines.collect()
    }

    #[test]
    fn ends_of_lines_and_the_byte_order_mark_are_left_out() {
        let (_folder, path) = file("a.txt", "\u{feff}one\r\n\r\n三\nlast".as_bytes());
        assert_eq!(all(Lines::open(&path).unwrap()).unwrap(), ["one", "", "三", "last"]);
    }

    #[test]
    fn a_continuous_text_comes_whole_however_long_its_lines() {
        let text = "漢字x".repeat(50_000) + "\nend\n";
        let (_folder, path) = file("a.txt", text.as_bytes());
        assert_eq!(all(Lines::continuous(&path).unwrap()).unwrap().concat(), text);
        let error = all(Lines::open(&path).unwrap()).unwrap_err();
        assert!(matches!(error, TextError::LongLine { line: 1, .. }), "{error}");
    }

    #[test]
    fn a_line_that_is_not_utf_8_is_named() {
        let (_folder, path) = file("a.txt", b"good\nba\xffd\n");
        for lines in [Lines::open(&path).unwrap(), Lines::continuous(&path).unwrap()] {
            let error = all(lines).unwrap_err();
            assert!(matches!(error, TextError::Utf8 { line: 2, byte: 3, .. }), "{error}");
        }
        let (_folder, path) = file("a.txt", "cut 漢".as_bytes().split_last().unwrap().1);
        assert!(matches!(all(Lines::open(&path).unwrap()).unwrap_err(), TextError::Utf8 { line: 1, byte: 5, .. }));
    }

    #[test]
    fn compressed_files_are_read_as_they_are() {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"one\ntwo\n").unwrap();
        let gzipped = encoder.finish().unwrap();
        let (_folder, path) = file("a.txt.gz", &gzipped);
        assert_eq!(all(Lines::open(&path).unwrap()).unwrap(), ["one", "two"]);
        let (_folder, path) = file("cut.gz", &gzipped[..gzipped.len() / 2]);
        assert!(matches!(all(Lines::open(&path).unwrap()).unwrap_err(), TextError::Io { .. }));
        let zstd = ruzstd::encoding::compress_to_vec(&b"one\ntwo\n"[..], ruzstd::encoding::CompressionLevel::Fastest);
        let (_folder, path) = file("a.zst", &zstd);
        assert_eq!(all(Lines::open(&path).unwrap()).unwrap(), ["one", "two"]);
        let (_folder, path) = file("not.zst", b"plain");
        assert!(matches!(Lines::open(&path).and_then(|mut lines| lines.read()), Err(TextError::Io { .. })));
    }

    #[test]
    fn what_is_no_text_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Lines::open(folder.path()), Err(TextError::Folder { .. })));
        assert!(matches!(Lines::open(&folder.path().join("none")), Err(TextError::Io { .. })));
        let (_folder, path) = file("a.txt", b"");
        assert!(matches!(all(Lines::open(&path).unwrap()), Err(TextError::Empty { .. })));
    }
}
