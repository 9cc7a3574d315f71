//! What there is in a text: read once, as training reads it, but on past lines that training would end at.

use crate::faults::{Faults, MOST_FAULTS, add_fault};
use descant_text::{Example, Form, Source, TextError};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes and examples that are kept in memory to be looked at; of more, each second, fourth, … is.
const MOST_BYTES: usize = 64 << 20;
const MOST_PAIRS: usize = 400_000;

/// A pair, or a text without a source.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// Its line, from 1.
    pub(super) line: u64,
    /// The name of its file, where the text has several.
    pub(super) file: Option<Arc<str>>,
    pub(super) source: Option<String>,
    pub(super) target: String,
    /// The control tokens of its attributes.
    pub(super) attributes: Vec<String>,
}

/// A text that was read.
#[derive(Debug)]
pub(super) struct Survey {
    /// What it is for, such as `training`.
    pub(super) role: &'static str,
    /// The names of its files.
    pub(super) name: String,
    /// `line`, or `row` of Parquet.
    pub(super) unit: &'static str,
    pub(super) form: Form,
    /// Its examples, or some of them, spread evenly over it.
    pub(super) pairs: Vec<Pair>,
    /// How many there are for each of `pairs`.
    pub(super) every: u64,
    /// How many there are, without lines that cannot be read.
    pub(super) examples: u64,
    pub(super) faults: Vec<Faults>,
    /// Why reading ended before the end.
    pub(super) broken_off: Option<TextError>,
}

impl Survey {
    /// Reads these examples of a text, counted from 0, until `stop` is set. `see` sees all of them.
    pub(super) fn of(
        role: &'static str,
        source: &Source,
        range: Range<u64>,
        stop: &AtomicBool,
        mut see: impl FnMut(&Pair),
    ) -> Self {
        let (name, unit, form) = (source.name(), source.unit(), source.form());
        let (pairs, faults) = (Vec::new(), Vec::new());
        let mut survey = Self { role, name, unit, form, pairs, every: 1, examples: 0, faults, broken_off: None };
        let mut examples = match source.examples() {
            Ok(examples) => examples,
            Err(error) => return Self { broken_off: Some(error), ..survey },
        };
        let (mut number, mut bytes, mut unread) = (0, 0, 0);
        let names: Vec<Arc<str>> = source.part_names().into_iter().map(Arc::from).collect();
        let pair = |example: Example| {
            let file = names.get(example.place.file as usize).filter(|_| names.len() > 1).cloned();
            Pair::of(example, file)
        };
        while number < range.end && !stop.load(Ordering::Relaxed) {
            match examples.next() {
                None => break,
                Some(Ok(example)) => {
                    number += 1;
                    if number > range.start {
                        survey.add(pair(example), &mut bytes, &mut see);
                    }
                }
                Some(Err(error)) => {
                    unread += 1;
                    let goes_on = number < range.start || survey.add_fault(error);
                    if !goes_on || unread == MOST_FAULTS {
                        break;
                    }
                }
            }
        }
        survey
    }

    fn add(&mut self, pair: Pair, bytes: &mut usize, see: &mut impl FnMut(&Pair)) {
        if self.form == Form::Continuous && pair.target.is_empty() {
            return;
        }
        see(&pair);
        self.examples += 1;
        if !(self.examples - 1).is_multiple_of(self.every) {
            return;
        }
        let size = |pair: &Pair| pair.target.len() + pair.source.as_ref().map_or(0, String::len);
        *bytes += size(&pair);
        self.pairs.push(pair);
        while self.pairs.len() > 1 && (*bytes > MOST_BYTES || self.pairs.len() > MOST_PAIRS) {
            self.every *= 2;
            let mut is_kept = [true, false].into_iter().cycle();
            self.pairs.retain(|_| is_kept.next() == Some(true));
            *bytes = self.pairs.iter().map(size).sum();
        }
    }

    /// Counts an error; whether the lines after it can be read.
    fn add_fault(&mut self, error: TextError) -> bool {
        add_fault(&mut self.faults, error).unwrap_or_else(|error| {
            self.broken_off = Some(error);
            false
        })
    }

    /// What its examples are called.
    pub(super) fn thing(&self) -> &'static str {
        match self.form {
            Form::Pairs => "pair",
            Form::Preferences => "preference",
            Form::Conversations => "answer",
            Form::Texts | Form::Continuous => self.unit,
        }
    }

    /// Whether it can be read from start to end.
    pub(super) fn is_readable(&self) -> bool {
        self.faults.is_empty() && self.broken_off.is_none()
    }

    /// The name of its files with what it is for.
    pub(super) fn place(&self) -> String {
        format!("{} ({})", self.name, self.role)
    }

    /// The sides that it has, by name.
    pub(super) fn sides(&self) -> impl Iterator<Item = (&'static str, Vec<&str>)> {
        let sources: Vec<&str> = self.pairs.iter().filter_map(|pair| pair.source.as_deref()).collect();
        let sources = (!sources.is_empty() && sources.len() == self.pairs.len()).then_some(("source", sources));
        let name = if self.form == Form::Pairs { "target" } else { "text" };
        sources.into_iter().chain([(name, self.pairs.iter().map(|pair| pair.target.as_str()).collect())])
    }

    /// Its line and a text of one side, to be shown.
    pub(super) fn shown(&self, at: usize, side: &str) -> (u64, String) {
        let pair = &self.pairs[at];
        let text = if side == "source" { pair.source.clone().unwrap_or_default() } else { pair.target.clone() };
        (pair.line, pair.named(text))
    }

    /// The line and both texts of a pair, to be shown.
    pub(super) fn shown_pair(&self, at: usize) -> (u64, String) {
        self.pairs[at].shown()
    }
}

impl Pair {
    /// Its line and both texts, to be shown.
    pub(super) fn shown(&self) -> (u64, String) {
        let sides = self.source.iter().map(|source| format!("{source}  →  ")).chain([self.target.clone()]);
        (self.line, self.named(sides.collect()))
    }

    /// What is shown of it, with its file where there are several.
    fn named(&self, text: String) -> String {
        self.file.iter().map(|file| format!("({file}) ")).chain([text]).collect()
    }

    fn of(example: Example, file: Option<Arc<str>>) -> Self {
        let target = example.target.to_string();
        let target = target.trim_end_matches(['\n', '\r']).to_owned();
        let attributes = example.attributes().to_vec();
        let source = example.source.map(|source| source.to_string());
        Self { line: example.place.line, file, source, target, attributes }
    }
}
