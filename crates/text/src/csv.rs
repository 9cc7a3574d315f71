//! Rows of CSV (RFC 4180): a column in quotes may have commas, doubled quotes and line ends.

use crate::TextError;
use crate::columns::Row;
use crate::lines::{LONGEST_OBJECT, Line, Lines};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};
use std::path::{Path, PathBuf};

/// The rows of a file. They are read by its lines, so that all that is wrong with a line is found as in any other text.
pub(crate) struct CsvRows {
    path: PathBuf,
    lines: Lines,
    reader: Reader,
    number: u64,
}

/// What a row is.
pub(crate) enum RowLine {
    /// Its columns.
    Row(Row),
    /// A line without any.
    Blank,
    /// It has more bytes than are read.
    Large,
}

impl CsvRows {
    pub(crate) fn open(path: &Path) -> Result<Self, TextError> {
        let reader = ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build();
        Ok(Self { path: path.to_owned(), lines: Lines::objects(path)?, reader, number: 0 })
    }

    /// The line in which the last row begins.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next row.
    ///
    /// # Errors
    /// Where it cannot be read, or its last quote is missing.
    pub(crate) fn next_row(&mut self) -> Result<Option<RowLine>, TextError> {
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        let (mut length, mut columns) = (0, 0);
        let mut quotes = Quotes::Start;
        // An error within a row ends it.
        self.reader.reset();
        loop {
            let next = self.lines.next_line();
            let begins = length == 0 && columns == 0 && text.is_empty();
            if begins {
                self.number = self.lines.number();
            }
            let line = match next? {
                None if begins => return Ok(None),
                Some(Line::Large) if begins => return Ok(Some(RowLine::Large)),
                Some(Line::Text(line)) if begins && line.trim_matches(' ').is_empty() => {
                    return Ok(Some(RowLine::Blank));
                }
                Some(Line::Text(line)) if length + line.len() <= LONGEST_OBJECT => line,
                None => return Err(self.wrong("a quote that begins in this row does not end before the file does")),
                Some(_) => {
                    return Err(self.wrong("a quote that begins in this row goes on for more than 16 MB of text"));
                }
            };
            let mut line = line.into_bytes();
            line.push(b'\n');
            quotes = line.iter().fold(quotes, |quotes, &byte| quotes.after(byte));
            // A line has no more columns than commas and one.
            text.resize(length + line.len(), 0);
            ends.resize(columns + 2 + memchr::memchr_iter(b',', &line).count(), 0);
            let (result, _, written, ended) = self.reader.read_record(&line, &mut text[length..], &mut ends[columns..]);
            (length, columns) = (length + written, columns + ended);
            if result == ReadRecordResult::InputEmpty {
                continue;
            }
            if quotes == Quotes::Wrong {
                return Err(self.wrong("text follows the quote that ends a column"));
            }
            text.truncate(length);
            ends.truncate(columns);
            let text = String::from_utf8(text).map_err(|_| self.wrong("it cannot be read as CSV"))?;
            return Ok(Some(RowLine::Row(Row::of_fields(text, ends))));
        }
    }

    fn wrong(&self, reason: &str) -> TextError {
        let reason = format!("{reason}. Write a quote within a text twice, and put the whole column in quotes");
        TextError::Example { path: self.path.clone(), line: self.number, reason }
    }
}

/// Where in a row its quotes are: the reader takes text after the last quote of a column as more of it.
#[derive(Clone, Copy, PartialEq)]
enum Quotes {
    /// At the start of a column.
    Start,
    Plain,
    Quoted,
    /// After a quote within a quoted column: its end, or the first of two.
    Quote,
    Wrong,
}

impl Quotes {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Wrong, _) => Self::Wrong,
            (Self::Start | Self::Quote, b'"') | (Self::Quoted, b'\0'..=b'!' | b'#'..) => Self::Quoted,
            (Self::Quoted, b'"') => Self::Quote,
            (Self::Start | Self::Plain | Self::Quote, b',' | b'\n') => Self::Start,
            // Before the end of a line.
            (Self::Quote, b'\r') => Self::Quote,
            (Self::Quote, _) => Self::Wrong,
            (Self::Start | Self::Plain, _) => Self::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<(u64, Vec<String>)>, TextError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, text).unwrap();
        let (mut rows, mut found) = (CsvRows::open(&path)?, Vec::new());
        while let Some(row) = rows.next_row()? {
            let columns = match row {
                RowLine::Row(row) => row.columns().map(str::to_owned).collect(),
                RowLine::Blank => vec!["blank".to_owned()],
                RowLine::Large => vec!["large".to_owned()],
            };
            found.push((rows.number(), columns));
        }
        Ok(found)
    }

    #[test]
    fn quotes_commas_and_line_ends_are_read_with_the_line_of_each_row() {
        let text = "\u{feff}a,b\r\n\"x, \"\"y\"\"\",\"one\r\ntwo\n\nthree\"\n\n漢,\nlast,\"\"";
        let expected: [(u64, &[&str]); 5] = [
            (1, &["a", "b"]),
            (2, &["x, \"y\"", "one\ntwo\n\nthree"]),
            (6, &["blank"]),
            (7, &["漢", ""]),
            (8, &["last", ""]),
        ];
        let found = rows(text).unwrap();
        let found: Vec<(u64, Vec<&str>)> =
            found.iter().map(|(line, columns)| (*line, columns.iter().map(String::as_str).collect())).collect();
        assert_eq!(found, expected.map(|(line, columns)| (line, columns.to_vec())));
        // A quote that begins no column is one of the text.
        assert_eq!(rows("5\" disk,b\n").unwrap(), [(1, vec!["5\" disk".to_owned(), "b".to_owned()])]);
    }

    #[test]
    fn a_quote_without_an_end_is_named_by_the_line_of_its_row() {
        for text in ["a,b\n\"c,d\ne,f\n", &format!("a,b\n\"{}", "c,d\n".repeat(LONGEST_OBJECT / 3))] {
            let error = rows(text).unwrap_err();
            assert!(matches!(error, TextError::Example { line: 2, .. }), "{error}");
            assert!(error.to_string().contains("quote"), "{error}");
        }
        for text in ["a,b\n\"He said \"hi\" to me\",c\n", "a,b\n\"c\nd\"e,f\n", "a,b\nc,\"d\" \n"] {
            let error = rows(text).unwrap_err();
            assert!(matches!(error, TextError::Example { line: 2, .. }), "{error}");
            assert!(error.to_string().contains("text follows the quote"), "{error}");
        }
        assert_eq!(rows("\"a\"\r\n\"\",\"\"\"\"\n").unwrap().len(), 2);
        let large = format!("{},b\nc,d\n", "x".repeat(LONGEST_OBJECT));
        assert_eq!(rows(&large).unwrap()[0].1, ["large"]);
    }
}
