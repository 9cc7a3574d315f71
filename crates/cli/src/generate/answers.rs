//! The forms of answers: lines of text, JSON objects of texts, JSON objects of lines.

use super::explanations::Inspection;
use super::line::Line;
use super::output_file::{OutputFile, Refusal};
use super::tally::Tally;
use crate::report::{one_line, print};
use descant_generate::FinishReason;
use descant_inference::Generated;
use serde::Serialize;
use serde_json::value::RawValue;

/// What comes of a line.
pub(super) enum Outcome {
    /// Nothing was asked.
    Empty,
    /// The best text first.
    Texts(Vec<Generated>),
    /// It is not answered, for this reason.
    Refused(String),
}

/// A text as it is shown, and what is reported beside it.
type Reported = (String, Generated, Inspection);

/// How answers are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A line for each text; with line ends in it escaped, or as they are.
    Lines { escapes: bool },
    /// A JSON object for each text.
    Texts,
    /// A JSON object for each line of the input.
    Objects,
}

/// Where lines go.
pub(super) enum Output {
    Stdout,
    File(OutputFile),
}

/// Writes answers.
pub(super) struct Answers {
    pub(super) form: Form,
    /// How many texts each line gets.
    pub(super) texts: usize,
    pub(super) output: Output,
    /// Whether they are of one text of the command line.
    pub(super) is_alone: bool,
    /// How many are written.
    pub(super) count: u64,
    pub(super) tally: Tally,
}

/// A JSON object for a text.
#[derive(Serialize)]
struct TextObject<'a> {
    line: u64,
    rank: usize,
    source: &'a str,
    #[serde(flatten)]
    text: TextRecord<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// A JSON object for a line of the input.
#[derive(Serialize)]
struct LineObject<'a> {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(flatten)]
    best: Option<TextRecord<'a>>,
    /// All texts, the best too, where several are asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    n_best: Vec<TextRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// A generated text; one of an empty line has no score.
#[derive(Clone, Default, Serialize)]
struct TextRecord<'a> {
    text: &'a str,
    finished: Option<bool>,
    finish_reason: Option<FinishReason>,
    score: Option<f64>,
    log_probability: Option<f64>,
    ids: &'a [u32],
    /// Whether its source or prompt was not read whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
    /// Unknown tokens in the source or the prompt.
    #[serde(skip_serializing_if = "is_zero")]
    unknown: usize,
    #[serde(flatten)]
    told: Option<&'a Inspection>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl<'a> TextRecord<'a> {
    fn of((text, generated, told): &'a Reported) -> Self {
        let &Generated { score, log_probability, finish_reason, ref tokens, cut, unknown, .. } = generated;
        let (score, log_probability) = (Some(score), Some(log_probability));
        Self {
            text,
            finished: Some(finish_reason.is_finished()),
            finish_reason: Some(finish_reason),
            score,
            log_probability,
            ids: tokens,
            cut,
            unknown,
            told: Some(told),
        }
    }
}

impl Answers {
    /// The texts of a line, after what is shown before them.
    pub(super) fn texts(&mut self, line: &Line, before: &str, texts: &[Reported]) -> anyhow::Result<()> {
        let number = line.number;
        texts.iter().for_each(|(_, written, _)| self.tally.count(written, line));
        self.tally.count_equal(&texts.iter().map(|(text, ..)| text.as_str()).collect::<Vec<_>>(), line);
        self.count += 1;
        match self.form {
            Form::Lines { escapes } => {
                for (text, written, told) in texts {
                    let whole = [before, text].concat();
                    let shown = if escapes { one_line(&whole, &['\n', '\r']) } else { whole.as_str().into() };
                    self.tally.escaped |= shown.len() != whole.len();
                    let shown = told.after(&shown);
                    match self.texts > 1 {
                        true => self.line(&format!("{:.4}\t{shown}", written.score))?,
                        false => self.line(&shown)?,
                    }
                    told.table().iter().try_for_each(|line| self.line(line))?;
                }
                // A beam search may find fewer.
                self.empty_lines(self.texts - texts.len().min(self.texts))
            }
            Form::Texts => texts.iter().enumerate().try_for_each(|(i, reported)| {
                let text = TextRecord::of(reported);
                let object = TextObject { line: number, rank: i + 1, source: &line.source, text, error: None };
                self.line(&serde_json::to_string(&object)?)
            }),
            Form::Objects => {
                let mut records: Vec<TextRecord<'_>> = texts.iter().map(TextRecord::of).collect();
                records.iter_mut().for_each(|record| record.cut |= line.is_shortened);
                let best = Some(records.first().cloned().unwrap_or_default());
                let n_best = if self.texts > 1 { records } else { Vec::new() };
                let object = LineObject { line: number, id: line.id.as_deref(), best, n_best, error: None };
                self.line(&serde_json::to_string(&object)?)
            }
        }
    }

    /// A line without texts.
    pub(super) fn none(&mut self, line: &Line, outcome: Outcome) -> anyhow::Result<()> {
        let error = match &outcome {
            Outcome::Refused(reason) => {
                self.refuse(line.number, reason)?;
                Some(reason.as_str())
            }
            _ => None,
        };
        self.count += 1;
        let text = TextRecord::default();
        match self.form {
            // What is an error alone needs no line to keep the place of others.
            Form::Lines { .. } if self.is_alone && error.is_some() => Ok(()),
            Form::Lines { .. } => self.empty_lines(self.texts),
            Form::Texts => {
                let (number, source) = (line.number, line.source.as_str());
                let object = TextObject { line: number, rank: 1, source, text, error };
                self.line(&serde_json::to_string(&object)?)
            }
            Form::Objects => {
                let best = error.is_none().then_some(text);
                let object = LineObject { line: line.number, id: line.id.as_deref(), best, n_best: Vec::new(), error };
                self.line(&serde_json::to_string(&object)?)
            }
        }
    }

    /// Counts a line that is not answered.
    pub(super) fn refuse(&mut self, line: u64, reason: &str) -> anyhow::Result<()> {
        self.tally.refuse(line, reason);
        match &mut self.output {
            Output::Stdout => Ok(()),
            Output::File(file) => file.refuse(&Refusal { line, after: self.count, error: reason.to_owned() }),
        }
    }

    /// Lines in place of texts.
    fn empty_lines(&mut self, count: usize) -> anyhow::Result<()> {
        let empty = if self.texts > 1 { "\t" } else { "" };
        (0..count).try_for_each(|_| self.line(empty))
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        match &mut self.output {
            Output::Stdout => print(line),
            Output::File(file) => {
                file.push(line);
                Ok(())
            }
        }
    }

    /// Writes what was taken so far.
    pub(super) fn write(&mut self) -> anyhow::Result<()> {
        match &mut self.output {
            Output::Stdout => Ok(()),
            Output::File(file) => file.write(),
        }
    }

    /// Ends a file.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        match &mut self.output {
            Output::Stdout => Ok(()),
            Output::File(file) => file.finish(),
        }
    }
}
