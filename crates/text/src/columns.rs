//! Which columns of a table are read, and the rows of it that have no header.

use crate::annotations::Annotated;
use crate::json::{JsonForm, Record};
use crate::{Annotations, Found, Place, TextError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cmp::Reverse;
use std::fmt;
use std::path::Path;

/// The columns of source and target, perhaps with one of a target that is rejected; or that of a text alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected one to three columns, by their numbers from 0 or by their names")]
pub enum Columns {
    /// By place, from 0, in a table without a header.
    Numbers(Vec<usize>),
    /// By the names that the header of a table has, or by the keys of objects.
    Names(Vec<String>),
}

impl Columns {
    /// What rows of so many columns are.
    pub(crate) fn form(&self) -> JsonForm {
        let count = match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Names(names) => names.len(),
        };
        match count {
            1 => JsonForm::Texts,
            2 => JsonForm::Pairs,
            _ => JsonForm::Preferences,
        }
    }

    /// Whether two of them are the same one.
    pub fn are_same(&self) -> bool {
        match self {
            Self::Numbers(numbers) => has_twice(numbers),
            Self::Names(names) => has_twice(names),
        }
    }

    /// Their names, where they are given.
    pub(crate) fn names(&self) -> Option<&[String]> {
        match self {
            Self::Numbers(_) => None,
            Self::Names(names) => Some(names),
        }
    }
}

fn has_twice<T: PartialEq>(columns: &[T]) -> bool {
    columns.iter().enumerate().any(|(i, column)| columns[..i].contains(column))
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbers(numbers) => write!(f, "{numbers:?}"),
            Self::Names(names) => write!(f, "{names:?}"),
        }
    }
}

/// A row of a table.
#[derive(Debug)]
pub(crate) struct Row {
    text: String,
    /// Where each column ends.
    ends: Vec<usize>,
    /// Bytes between two columns.
    between: usize,
}

impl Row {
    /// A line of columns between tabs.
    pub(crate) fn of_line(text: String) -> Self {
        let ends = memchr::memchr_iter(b'\t', text.as_bytes()).chain([text.len()]).collect();
        Self { text, ends, between: 1 }
    }

    /// A row whose columns stand end to end.
    pub(crate) fn of_fields(text: String, ends: Vec<usize>) -> Self {
        Self { text, ends, between: 0 }
    }

    /// How many columns it has.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// A column.
    pub(crate) fn get(&self, column: usize) -> Option<&str> {
        let end = *self.ends.get(column)?;
        let start = column.checked_sub(1).map_or(0, |before| self.ends[before] + self.between);
        self.text.get(start..end)
    }

    /// All columns.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|column| self.get(column).unwrap_or_default())
    }

    /// What is wrong where it is the row of another kind of table: one column, with what parts those of others.
    pub(crate) fn wrong_separator(&self, path: &Path, line: u64) -> Option<TextError> {
        let is_csv = self.between == 0;
        let others = if is_csv { [';', '\t'] } else { [',', ';'] };
        let is_other = self.len() == 1 && self.text.contains(others);
        is_other.then(|| TextError::Separator { path: path.to_owned(), line, is_csv })
    }
}

/// Of a row of a table without a header, the columns that are read, and what it says beside.
pub(crate) fn pick(
    row: &Row,
    (columns, beside): (Option<&[usize]>, &Annotations),
    further: &mut Found,
    path: &Path,
    place: Place,
) -> Result<(Vec<String>, Annotated), TextError> {
    let (line, found) = (place.line, row.len());
    let read = columns.unwrap_or(&[0, 1]);
    let expected = beside.needed_numbers().chain(read.iter().copied()).max().map_or(0, |last| last.saturating_add(1));
    if expected > found {
        let columns = || TextError::Columns { path: path.to_owned(), line, expected, found };
        return Err(row.wrong_separator(path, line).unwrap_or_else(columns));
    }
    let is_read = |column: &usize| read.contains(column) || beside.has_number(*column);
    let others = row.columns().enumerate().filter(|(column, text)| !is_read(column) && !text.is_empty()).count();
    if others > 0 && columns.is_none() {
        return Err(TextError::FurtherColumns { path: path.to_owned(), line, found });
    }
    further.add(u64::from(others > 0), place);
    let wrong = |reason| TextError::Example { path: path.to_owned(), line, reason };
    let said = beside.read_row(|column| row.get(column)).map_err(wrong)?;
    let texts = read.iter().map(|column| row.get(*column).unwrap_or_default().to_owned()).collect();
    Ok((texts, said))
}

/// Names of columns whose empty values are none.
pub(crate) const OPTIONAL: [&str; 2] = ["system", "input"];

/// That what is to be read is among the columns of a table, each with a value of its type.
///
/// # Errors
/// What is missing, not known, or there twice.
pub(crate) fn check_columns(
    columns: Vec<(String, Value)>,
    names: Option<&[String]>,
    beside: &Annotations,
) -> Result<(), String> {
    let header: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    let mut needed = names.unwrap_or_default().iter().chain(beside.needed());
    if let Some(missing) = needed.find(|name| !header.contains(name)) {
        return Err(format!("there is no column {missing:?}: its columns are {}", named(&header, missing)));
    }
    if names.is_none() {
        let others = columns.into_iter().filter(|(name, _)| !beside.has(name));
        Record::of_fields(others.collect(), None, &Annotations::default()).map_err(|reason| {
            format!(
                "the names of its columns are read like the keys of JSON: {reason}. Or say which are read, such as \
                 data.columns = [\"en\", \"de\"]"
            )
        })?;
    }
    let is_read = |name: &String| names.is_none_or(|names| names.contains(name));
    match (1..header.len()).find(|&at| is_read(&header[at]) && header[..at].contains(&header[at])) {
        Some(at) => Err(format!("it has the column {:?} twice", header[at])),
        None => Ok(()),
    }
}

/// Columns that a message shows.
const SHOWN: usize = 20;

/// Names of columns as a message shows them, the nearest one to what was meant first.
fn named(columns: &[String], meant: &str) -> String {
    let mut nearest: Vec<&String> = columns.iter().collect();
    let near = |name: &str| (1000.0 * strsim::jaro_winkler(name, meant)) as u32;
    if let Some(at) = (0..nearest.len()).min_by_key(|&at| Reverse(near(nearest[at]))) {
        nearest[..=at].rotate_right(1);
    }
    let shown: Vec<String> = nearest.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    let more = if columns.len() > SHOWN { ", …" } else { "" };
    shown.join(", ") + more
}
