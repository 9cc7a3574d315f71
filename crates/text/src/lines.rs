use crate::TextError;
use crate::zst::Zst;
use flate2::read::MultiGzDecoder;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The most bytes that a line may have, where each line is a sequence of its own.
pub const LONGEST_LINE: usize = 1 << 16;
/// The same of a line that is a JSON object, such as a whole conversation.
pub(crate) const LONGEST_OBJECT: usize = 1 << 24;

/// The lines of a text in UTF-8, plain, `.gz` or `.zst`, one at a time. A byte order mark at the start of a line, such
/// as where files were joined, is no part of it.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    /// Whether it is one continuous text: then line ends are kept, and long lines come in pieces.
    continuous: bool,
    /// The most bytes of a line, or of a piece.
    longest: usize,
    buffer: Vec<u8>,
    number: u64,
    /// Whether a line begins with what is read next.
    begins: bool,
    /// Whether anything was read, or need not be.
    any: bool,
}

/// What a line is.
pub(crate) enum Line {
    /// Its text, without the end.
    Text(String),
    /// It has more bytes than are read.
    Large,
}

impl Lines {
    /// Opens a file. Line ends are left out, whether of Unix or of Windows.
    ///
    /// # Errors
    /// Where there is no such file, or it is a folder.
    pub fn open(path: &Path) -> Result<Self, TextError> {
        Self::file(path, false, LONGEST_LINE)
    }

    /// Reads standard input as [`Lines::open`] does a file; it may be empty.
    pub fn standard_input() -> Self {
        let reader = BufReader::with_capacity(1 << 16, std::io::stdin());
        Self { any: true, ..Self::new(Path::new("standard input"), Box::new(reader), false, LONGEST_LINE) }
    }

    /// Opens a file of JSON objects, one a line, which may be longer than other lines.
    ///
    /// # Errors
    /// As [`Lines::open`].
    pub fn objects(path: &Path) -> Result<Self, TextError> {
        Self::file(path, false, LONGEST_OBJECT)
    }

    /// Opens a file as one continuous text: in pieces of at most [`LONGEST_LINE`] bytes that joined are the text.
    ///
    /// # Errors
    /// As [`Lines::open`].
    pub fn continuous(path: &Path) -> Result<Self, TextError> {
        Self::file(path, true, LONGEST_LINE)
    }

    fn file(path: &Path, continuous: bool, longest: usize) -> Result<Self, TextError> {
        let read = |error| TextError::io("read", path, error);
        if fs::metadata(path).map_err(read)?.is_dir() {
            return Err(TextError::Folder { path: path.to_owned() });
        }
        let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(read)?);
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        // By its name, or by how all such files begin.
        let begins = file.fill_buf().map_err(read)?;
        let (gz, zst) = (begins.starts_with(b"\x1f\x8b"), begins.starts_with(b"\x28\xb5\x2f\xfd"));
        let reader: Box<dyn BufRead + Send> = match ending.as_str() {
            "zst" => Box::new(BufReader::new(Zst::new(file))),
            _ if zst => Box::new(BufReader::new(Zst::new(file))),
            "gz" => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            _ if gz => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            _ => Box::new(file),
        };
        Ok(Self::new(path, reader, continuous, longest))
    }

    fn new(path: &Path, reader: Box<dyn BufRead + Send>, continuous: bool, longest: usize) -> Self {
        let path = path.to_owned();
        Self { path, reader, continuous, longest, buffer: Vec::new(), number: 0, begins: true, any: false }
    }

    /// The number of the line that was read last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The first byte of the text that is no white space, if it is among its first ones. Nothing is read yet.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, TextError> {
        let chunk = self.reader.fill_buf().map_err(|error| TextError::io("read", &self.path, error))?;
        let chunk = chunk.strip_prefix(b"\xef\xbb\xbf").unwrap_or(chunk);
        Ok(chunk.iter().copied().find(|byte| !byte.is_ascii_whitespace()))
    }

    /// The next line, or none at the end.
    ///
    /// # Errors
    /// Where it cannot be read, is not UTF-8, is too long, or ends as those of old Macintoshes do.
    pub fn read(&mut self) -> Result<Option<String>, TextError> {
        match self.next_line()? {
            Some(Line::Text(text)) => Ok(Some(text)),
            Some(Line::Large) => {
                Err(TextError::LongLine { path: self.path.clone(), line: self.number, longest: self.longest })
            }
            None => Ok(None),
        }
    }

    /// The same, where a line that is too long is reported and no error.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line>, TextError> {
        // One byte more shows that a line goes on.
        let most = self.longest + usize::from(!self.continuous);
        let ended = self.fill(most)?;
        if self.buffer.is_empty() {
            return if self.any { Ok(None) } else { Err(TextError::Empty { path: self.path.clone() }) };
        }
        self.any = true;
        let begins = std::mem::replace(&mut self.begins, ended);
        self.number += u64::from(begins);
        let cut = !ended && self.buffer.len() == most;
        if cut && !self.continuous {
            // A text whose lines end in CR alone looks like one line.
            let returns = self.buffer.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n');
            self.skip()?;
            self.begins = true;
            return match returns {
                true => Err(TextError::CarriageReturn { path: self.path.clone(), line: self.number }),
                false => Ok(Some(Line::Large)),
            };
        }
        let mut line = std::mem::take(&mut self.buffer);
        if cut {
            // A character or a line end may have been cut too: its first bytes go with the next piece.
            let valid = match std::str::from_utf8(&line) {
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                _ => line.len() - usize::from(line.ends_with(b"\r")),
            };
            self.buffer = line.split_off(valid);
        }
        if !self.continuous && ended {
            line.pop();
            line.pop_if(|byte| *byte == b'\r');
        }
        if memchr::memchr_iter(b'\r', &line).any(|at| line.get(at + 1) != Some(&b'\n')) {
            return Err(TextError::CarriageReturn { path: self.path.clone(), line: self.number });
        }
        let mut text = String::from_utf8(line).map_err(|error| TextError::Utf8 {
            path: self.path.clone(),
            line: self.number,
            byte: error.utf8_error().valid_up_to() + 1,
        })?;
        if begins && text.starts_with(MARK) {
            text = text.trim_start_matches(MARK).to_owned();
        }
        Ok(Some(Line::Text(text)))
    }

    /// Reads on to the end of a line, or until there are `most` bytes; whether the line ended.
    fn fill(&mut self, most: usize) -> Result<bool, TextError> {
        while self.buffer.len() < most {
            let chunk = match self.reader.fill_buf() {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                chunk => chunk.map_err(|error| TextError::io("read", &self.path, error))?,
            };
            let first = self.number == 0 && self.buffer.is_empty();
            if let Some(reason) = first.then(|| other_encoding(chunk)).flatten() {
                return Err(TextError::Encoding { path: self.path.clone(), reason });
            }
            if chunk.is_empty() {
                return Ok(false);
            }
            let line_end = memchr::memchr(b'\n', chunk).map(|at| at + 1);
            let taken = line_end.unwrap_or(chunk.len()).min(most - self.buffer.len());
            self.buffer.extend_from_slice(&chunk[..taken]);
            self.reader.consume(taken);
            if line_end == Some(taken) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Passes over the rest of a line.
    fn skip(&mut self) -> Result<(), TextError> {
        self.buffer = Vec::new();
        while !self.fill(1 << 16)? && !self.buffer.is_empty() {
            self.buffer.clear();
        }
        self.buffer.clear();
        Ok(())
    }
}

/// The byte order mark, which some programs write before a text.
const MARK: char = '\u{feff}';

/// What a file is, by its first bytes, where it is no text in UTF-8.
fn other_encoding(chunk: &[u8]) -> Option<&'static str> {
    const COMPRESSED: [&[u8]; 4] = [b"\xfd7zXZ\0", b"BZh", b"PK\x03\x04", b"7z\xbc\xaf"];
    if COMPRESSED.iter().any(|begins| chunk.starts_with(begins)) {
        return Some("it is compressed otherwise than by gzip or zstd: decompress it");
    }
    if chunk.starts_with(b"PAR1") {
        return Some(
            "it is Parquet, which train, eval and doctor read from files named .parquet. For other commands, write its rows as a .jsonl, \
             such as with to_json(orient=\"records\", lines=True) of pandas",
        );
    }
    // Without its mark, UTF-16 of many scripts has a control character for every second byte. So does much that is no text.
    let control = |byte: &&u8| **byte < b' ' && !byte.is_ascii_whitespace() && **byte != 0x0b;
    let controls = chunk.iter().filter(control).count();
    let marked = chunk.starts_with(b"\xff\xfe") || chunk.starts_with(b"\xfe\xff");
    let other = marked || (chunk.len() >= 4 && controls * 5 > chunk.len() * 2);
    other.then_some("it is in UTF-16, or no text at all: convert it, such as with iconv -f UTF-16 -t UTF-8")
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
    fn lines_that_are_too_long_are_passed_over() {
        for length in [LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE + 1, 3 * LONGEST_LINE] {
            for end in ["\n", "\r\n", ""] {
                let long = "x".repeat(length) + end;
                let (_folder, path) = file("a.txt", ["one\n", &long].concat().as_bytes());
                let mut lines = Lines::open(&path).unwrap();
                assert_eq!(lines.read().unwrap().unwrap(), "one");
                let fits = length + usize::from(end.len() == 2) <= LONGEST_LINE;
                match lines.next_line().unwrap().unwrap() {
                    Line::Text(text) => assert!(fits && text.len() == length, "{length} {end:?}"),
                    Line::Large => assert!(!fits, "{length} {end:?}"),
                }
                assert!(lines.next_line().unwrap().is_none());
                assert_eq!(lines.number(), 2);
            }
        }
        let (_folder, path) = file("a.txt", ["x".repeat(1 << 18).as_str(), "\ntwo\n"].concat().as_bytes());
        let mut lines = Lines::open(&path).unwrap();
        assert!(matches!(lines.next_line().unwrap(), Some(Line::Large)));
        assert_eq!((lines.read().unwrap().unwrap().as_str(), lines.number()), ("two", 2));
    }

    #[test]
    fn a_mark_at_the_beginning_of_any_line_is_left_out() {
        let (_folder, path) = file("a.txt", "\u{feff}one\n\u{feff}two\u{feff}\n\u{feff}".as_bytes());
        assert_eq!(all(Lines::open(&path).unwrap()).unwrap(), ["one", "two\u{feff}", ""]);
        assert_eq!(all(Lines::continuous(&path).unwrap()).unwrap().concat(), "one\ntwo\u{feff}\n");
    }

    #[test]
    fn other_line_ends_and_encodings_are_refused() {
        let long = "x".repeat(LONGEST_LINE - 1) + "\r\nlast\n";
        let (_folder, path) = file("a.txt", long.as_bytes());
        assert_eq!(all(Lines::continuous(&path).unwrap()).unwrap().concat(), long);
        let (_folder, path) = file("a.txt", "one line\r".repeat(LONGEST_LINE).as_bytes());
        let error = all(Lines::open(&path).unwrap()).unwrap_err();
        assert!(matches!(error, TextError::CarriageReturn { line: 1, .. }), "{error}");
        for (text, at) in [("a\rb\r", 1), ("a\nb\r\r\n", 2), ("a\r\nb\rc\n", 2), ("a\nb\r", 2)] {
            let (_folder, path) = file("a.txt", text.as_bytes());
            for lines in [Lines::open(&path).unwrap(), Lines::continuous(&path).unwrap()] {
                let error = all(lines).unwrap_err();
                assert!(matches!(error, TextError::CarriageReturn { line, .. } if line == at), "{text:?} {error}");
            }
        }
        for text in ["one\ntwo\n", "один\nдва\n", "μία\n", "ab"] {
            for little in [false, true] {
                let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
                let marked: Vec<u8> = ["\u{feff}", text].concat().encode_utf16().flat_map(bytes).collect();
                for bytes in [&marked[..], &marked[2..]] {
                    let (_folder, path) = file("a.txt", bytes);
                    let error = all(Lines::open(&path).unwrap()).unwrap_err();
                    assert!(matches!(error, TextError::Encoding { .. }), "{text:?} {error}");
                }
            }
        }
        for compressed in [&b"\xfd7zXZ\0\0\x04"[..], b"PK\x03\x04\x14\0"] {
            let (_folder, path) = file("a.txt.xz", compressed);
            let error = all(Lines::open(&path).unwrap()).unwrap_err().to_string();
            assert!(error.contains("decompress it"), "{error}");
        }
        let (_folder, path) = file("a.txt", b"m\0n\n\0\n");
        assert_eq!(all(Lines::open(&path).unwrap()).unwrap(), ["m\0n", "\0"]);
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
        for name in ["a.txt.gz", "A.TXT.GZ", "without-its-ending"] {
            let (_folder, path) = file(name, &[&gzipped[..], &gzipped[..]].concat());
            assert_eq!(all(Lines::open(&path).unwrap()).unwrap(), ["one", "two", "one", "two"]);
        }
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
