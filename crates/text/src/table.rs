//! Tables: columns between tabs, or CSV, with a header or without.

use crate::annotations::Annotated;
use crate::columns::{Columns, OPTIONAL, Row, check_columns, pick};
use crate::csv::{CsvRows, RowLine};
use crate::json::{JsonForm, Record, SaidRecord};
use crate::lines::{Line, Lines};
use crate::{Annotations, Found, Place, TextError};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A table, row by row.
pub(crate) struct Table {
    path: PathBuf,
    rows: Rows,
    columns: Option<Columns>,
    /// The names of its columns.
    header: Option<Vec<String>>,
    /// How many columns its first row has, where all have to have as many.
    width: Option<usize>,
}

enum Rows {
    Tabs(Lines),
    Csv(Box<CsvRows>),
}

impl Table {
    /// Lines of columns between tabs; where these are named, its first line has the names.
    ///
    /// # Errors
    /// Where it cannot be read, or has no such columns.
    pub(crate) fn of_tabs(path: &Path, columns: Option<&Columns>, beside: &Annotations) -> Result<Self, TextError> {
        let is_named = columns.is_some_and(|columns| columns.names().is_some());
        Self::open(path, Rows::Tabs(Lines::open(path)?), columns, (is_named, beside))
    }

    /// CSV, whose first row has the names of its columns, except where these are known by their numbers.
    ///
    /// # Errors
    /// As [`Table::of_tabs`].
    pub(crate) fn of_csv(path: &Path, columns: Option<&Columns>, beside: &Annotations) -> Result<Self, TextError> {
        let is_named = columns.is_none_or(|columns| columns.names().is_some());
        Self::open(path, Rows::Csv(Box::new(CsvRows::open(path)?)), columns, (is_named, beside))
    }

    fn open(
        path: &Path,
        rows: Rows,
        columns: Option<&Columns>,
        (has_header, beside): (bool, &Annotations),
    ) -> Result<Self, TextError> {
        let (path, columns) = (path.to_owned(), columns.cloned());
        let mut table = Self { path, rows, columns, header: None, width: None };
        if has_header {
            let row = loop {
                match table.next_line()? {
                    Some(RowLine::Row(row)) => break row,
                    Some(RowLine::Blank) => {}
                    Some(RowLine::Large) | None => return Err(TextError::Empty { path: table.path }),
                }
            };
            let header: Vec<String> = row.columns().map(|name| name.trim().to_owned()).collect();
            let checked = table.check_header(&header, beside);
            checked.map_err(|error| row.wrong_separator(&table.path, table.number()).unwrap_or(error))?;
            (table.width, table.header) = (Some(header.len()), Some(header));
        }
        Ok(table)
    }

    /// That what is to be read is among the columns of the header.
    fn check_header(&self, header: &[String], beside: &Annotations) -> Result<(), TextError> {
        let names = self.columns.as_ref().and_then(Columns::names);
        let fields: Vec<_> = header.iter().map(|name| (name.clone(), Value::String(String::new()))).collect();
        check_columns(fields, names, beside).map_err(|reason| {
            let reason = match names {
                Some(_) => reason,
                None => {
                    format!("{reason}; where its first row is no header, by numbers, such as data.columns = [0, 1]")
                }
            };
            TextError::Example { path: self.path.clone(), line: self.number(), reason }
        })
    }

    /// What its rows are.
    pub(crate) fn form(&self, beside: &Annotations) -> JsonForm {
        match (&self.columns, &self.header) {
            (Some(columns), _) => columns.form(),
            (None, Some(header)) => {
                let row = Row::of_fields(String::new(), vec![0; header.len()]);
                self.said(&row, beside).map_or(JsonForm::Pairs, |said| said.record.form())
            }
            _ => JsonForm::Pairs,
        }
    }

    /// The line in which the last row begins.
    pub(crate) fn number(&self) -> u64 {
        match &self.rows {
            Rows::Tabs(lines) => lines.number(),
            Rows::Csv(rows) => rows.number(),
        }
    }

    /// The next row.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn next_line(&mut self) -> Result<Option<RowLine>, TextError> {
        match &mut self.rows {
            Rows::Csv(rows) => rows.next_row(),
            Rows::Tabs(lines) => Ok(lines.next_line()?.map(|line| match line {
                Line::Text(text) if text.trim_matches(' ').is_empty() => RowLine::Blank,
                Line::Text(text) => RowLine::Row(Row::of_line(text)),
                Line::Large => RowLine::Large,
            })),
        }
    }

    /// What a row says, in its texts and beside them; columns that are not read are counted.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn record(
        &mut self,
        row: &Row,
        beside: &Annotations,
        further: &mut Found,
        place: Place,
    ) -> Result<(Record, Annotated), TextError> {
        let is_csv = matches!(self.rows, Rows::Csv(_));
        if is_csv || self.header.is_some() {
            let (expected, found) = (*self.width.get_or_insert(row.len()), row.len());
            if expected != found {
                return Err(TextError::Fields { path: self.path.clone(), line: place.line, expected, found, is_csv });
            }
        }
        if self.header.is_some() {
            let wrong = |reason| TextError::Example { path: self.path.clone(), line: place.line, reason };
            let said = self.said(row, beside).map_err(wrong)?;
            further.add(u64::from(said.has_more), place);
            return Ok((said.record, said.said));
        }
        let numbers = match &self.columns {
            Some(Columns::Numbers(numbers)) => Some(&numbers[..]),
            _ => None,
        };
        let (texts, said) = pick(row, (numbers, beside), further, &self.path, place)?;
        Ok((Record::of_texts(texts), said))
    }

    /// What a row under a header says.
    fn said(&self, row: &Row, beside: &Annotations) -> Result<SaidRecord, String> {
        let names = self.columns.as_ref().and_then(Columns::names);
        let is_optional = |name: &String| names.is_none() && OPTIONAL.contains(&name.as_str()) || beside.has(name);
        let fields = self.header.iter().flatten().zip(row.columns());
        let fields = fields.filter(|(name, value)| !(value.is_empty() && is_optional(name)));
        let fields = fields.map(|(name, value)| (name.clone(), Value::String(value.to_owned())));
        Record::of_fields(fields.collect(), names, beside)
    }
}
