//! What the lines of one text say, be they pairs, rows or objects.

use crate::annotations::Annotated;
use crate::columns::Columns;
use crate::csv::RowLine;
use crate::filter::Filtered;
use crate::json::{JsonForm, Objects, Record};
use crate::lines::{Line, Lines};
use crate::parquet::{ParquetRow, ParquetRows};
use crate::table::Table;
use crate::{Annotations, Found, Place, Source, TextError};
use std::path::PathBuf;

/// The records of a text in one file, or in two parallel ones.
pub(crate) struct Records {
    path: PathBuf,
    reader: Reader,
    /// Which of several texts it is.
    file: u32,
}

enum Reader {
    Texts(Lines),
    Table(Box<Table>),
    Parquet(Box<ParquetRows>),
    Objects(Objects, Option<Columns>, JsonForm),
    Parallel {
        source: Lines,
        target: Lines,
        /// The file of the source.
        path: PathBuf,
    },
}

/// What of a text is in no example.
#[derive(Clone, Debug, Default)]
pub(crate) struct PassedOver {
    /// Lines of too many bytes, on the side of the source and of the target.
    pub(crate) large: [Found; 2],
    /// Lines or pairs for which there was one.
    pub(crate) examples: u64,
    /// Lines with columns that no side is read from.
    pub(crate) columns: Found,
    /// Blank lines between those of columns.
    pub(crate) blank: Found,
    /// What filters took out.
    pub(crate) filtered: Vec<Filtered>,
}

impl PassedOver {
    fn add_large(&mut self, found: [bool; 2], place: Place) {
        self.large.iter_mut().zip(found).for_each(|(large, found)| large.add(u64::from(found), place));
        self.examples += 1;
    }
}

/// A record, where it stands, and what it says beside its texts.
pub(crate) type Read = (Record, Place, Annotated);

impl Records {
    /// Opens a text that is one part of others.
    ///
    /// # Errors
    /// Where a file cannot be opened.
    pub(crate) fn open(part: &Source, file: u32, beside: &Annotations) -> Result<Self, TextError> {
        let reader = match part {
            Source::Lines { path } => Reader::Texts(Lines::open(path)?),
            Source::Stream { path } => Reader::Texts(Lines::continuous(path)?),
            Source::Tsv { path, columns } => Reader::Table(Box::new(Table::of_tabs(path, columns.as_ref(), beside)?)),
            Source::Csv { path, columns, .. } => {
                Reader::Table(Box::new(Table::of_csv(path, columns.as_ref(), beside)?))
            }
            Source::Parquet { path, columns, .. } => {
                Reader::Parquet(Box::new(ParquetRows::open(path, columns.as_ref(), beside)?))
            }
            Source::Json { path, columns, form } => Reader::Objects(Objects::open(path)?, columns.clone(), *form),
            Source::Parallel { source, target } => {
                Reader::Parallel { source: Lines::open(source)?, target: Lines::open(target)?, path: source.clone() }
            }
            // No part is one of these.
            Source::Several { .. } | Source::Annotated { .. } | Source::Chat { .. } | Source::Filtered { .. } => {
                return Err(TextError::Empty { path: part.path().to_owned() });
            }
        };
        Ok(Self { path: part.path().to_owned(), reader, file })
    }

    pub(crate) fn wrong(&self, line: u64, reason: String) -> TextError {
        TextError::Example { path: self.path.clone(), line, reason }
    }

    /// The next record. With a template, pairs and messages are of one form.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub(crate) fn next(
        &mut self,
        beside: &Annotations,
        has_template: bool,
        passed_over: &mut PassedOver,
    ) -> Result<Option<Read>, TextError> {
        let (path, file) = (&self.path, self.file);
        let wrong = |line, reason| TextError::Example { path: path.clone(), line, reason };
        let of_all = |line: u64| beside.of_all().map_err(|reason| wrong(line, reason));
        loop {
            match &mut self.reader {
                Reader::Texts(lines) => {
                    let next = lines.next_line()?;
                    let place = Place { line: lines.number(), file };
                    match next {
                        None => return Ok(None),
                        Some(Line::Large) => passed_over.add_large([false, true], place),
                        Some(Line::Text(text)) => return Ok(Some((Record::Text(text), place, of_all(place.line)?))),
                    }
                }
                Reader::Objects(objects, columns, form) => {
                    let next = objects.next(wrong)?;
                    let place = Place { line: objects.number(), file };
                    match next {
                        None => return Ok(None),
                        Some(Line::Large) => passed_over.add_large([false, true], place),
                        Some(Line::Text(json)) => {
                            let names = columns.as_ref().and_then(Columns::names);
                            let said = Record::parse(&json, names, beside);
                            let said = said.map_err(|reason| wrong(place.line, reason))?;
                            // A template makes conversations of pairs too.
                            let is_turn = |form| matches!(form, JsonForm::Pairs | JsonForm::Messages);
                            let conversations = has_template && is_turn(said.record.form()) && is_turn(*form);
                            if said.record.form() != *form && !conversations {
                                let reason = "its keys are of another kind than those of the first object: all have to be \
                                              prompts with completions, or messages, or texts, or prompts with a chosen and a \
                                              rejected answer";
                                return Err(wrong(place.line, reason.to_owned()));
                            }
                            passed_over.columns.add(u64::from(said.has_more), place);
                            return Ok(Some((said.record, place, said.said)));
                        }
                    }
                }
                Reader::Table(table) => {
                    let next = table.next_line()?;
                    let place = Place { line: table.number(), file };
                    match next {
                        None => return Ok(None),
                        Some(RowLine::Large) => passed_over.add_large([false, true], place),
                        Some(RowLine::Blank) => passed_over.blank.add(1, place),
                        Some(RowLine::Row(row)) => {
                            let further = &mut passed_over.columns;
                            let (record, said) = table.record(&row, beside, further, place)?;
                            return Ok(Some((record, place, said)));
                        }
                    }
                }
                Reader::Parquet(rows) => {
                    let next = rows.next_row(beside)?;
                    let place = Place { line: rows.number(), file };
                    match next {
                        None => return Ok(None),
                        Some(ParquetRow::Large) => passed_over.add_large([false, true], place),
                        Some(ParquetRow::Said(said)) => {
                            passed_over.columns.add(u64::from(said.has_more), place);
                            return Ok(Some((said.record, place, said.said)));
                        }
                    }
                }
                Reader::Parallel { source, target, path: source_path } => {
                    // Both are read before an error of either is returned: they stay in step.
                    let both = (source.next_line(), target.next_line());
                    let (from, to) = (both.0?, both.1?);
                    let place = Place { line: target.number(), file };
                    match (from, to) {
                        (Some(Line::Text(prompt)), Some(Line::Text(completion))) => {
                            let pair = Record::Pair { system: None, prompt, completion, rejected: None };
                            return Ok(Some((pair, place, of_all(place.line)?)));
                        }
                        (None, None) => return Ok(None),
                        (Some(from), Some(to)) => {
                            passed_over.add_large([from, to].map(|side| matches!(side, Line::Large)), place);
                        }
                        _ => {
                            while source.next_line()?.is_some() {}
                            while target.next_line()?.is_some() {}
                            return Err(TextError::UnequalLines {
                                source_path: source_path.clone(),
                                target_path: path.clone(),
                                source_lines: source.number(),
                                target_lines: target.number(),
                            });
                        }
                    }
                }
            }
        }
    }
}
