use super::answer::{Answer, Prompt};
use super::explanations::{Explanations, Told};
use super::output_file::{OutputFile, Written, going_on};
use super::stream::Stream;
use crate::lines::{count, lines_of};
use crate::report::{ask, note, one_line, print, progress, put};
use descant_autograd::Tape;
use descant_constraints::Grammar;
use descant_generate::{DecodingOptions, FinishReason};
use descant_inference::{Generated, LongInput, Trained};
use descant_text::{Lines, Message, Text};
use indicatif::ProgressBar;
use serde::Serialize;
use std::path::Path;

/// Writes for lines, and prints what comes of them.
pub(super) struct Writer {
    pub(super) trained: Trained,
    pub(super) options: DecodingOptions,
    /// What is done with long sources and prompts, where that was said.
    pub(super) long: Option<LongInput>,
    /// Whether a source that is much longer than in training was reported.
    pub(super) told_long: bool,
    pub(super) tape: Tape,
    /// Lines so far.
    pub(super) number: u64,
    pub(super) explanations: Explanations,
    pub(super) output: Output,
    pub(super) bar: ProgressBar,
    pub(super) json: bool,
    /// Whether each text is printed in one line.
    pub(super) escape: bool,
    /// Whether tokens are printed as they are chosen.
    pub(super) streams: bool,
    /// Whether an empty line is answered by an empty line.
    pub(super) empty_lines: bool,
    /// In a chat, what every conversation begins with.
    pub(super) conversation: Option<Vec<Message>>,
    pub(super) tally: Tally,
}

/// Where lines go.
pub(super) enum Output {
    Stdout,
    File(OutputFile),
}

impl Output {
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Takes a line.
    pub(super) fn line(&mut self, line: &str) -> anyhow::Result<()> {
        match self {
            Self::Stdout => print(line),
            Self::File(file) => {
                file.push(line);
                Ok(())
            }
        }
    }

    /// Writes the lines so far.
    pub(super) fn write(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Stdout => Ok(()),
            Self::File(file) => file.write(),
        }
    }
}

/// What is reported at the end.
#[derive(Default)]
pub(super) struct Tally {
    texts: u64,
    /// Texts that did not end, and the first one's line.
    unfinished: (u64, u64),
    /// Texts that no token could continue, with the first one's line and tokens.
    stuck: (u64, u64, Vec<u32>),
    /// Sources and prompts that were not read whole, and the first one's line.
    cut: (u64, u64),
    /// Sources and prompts with tokens that the tokenizer does not know, and the first one's line.
    unknown: (u64, u64),
    /// Lines that were not answered, the first one, and why.
    refused: (u64, u64, String),
    /// Whether line ends were escaped.
    escaped: bool,
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    line: u64,
    rank: usize,
    source: &'a str,
    text: &'a str,
    finished: Option<bool>,
    finish_reason: Option<FinishReason>,
    score: Option<f64>,
    tokens: usize,
    #[serde(flatten)]
    told: Told,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Writer {
    /// How many texts each line gets.
    pub(super) fn texts(&self) -> usize {
        self.options.config.num_return_sequences()
    }

    /// Whether texts are answered, rather than continued.
    pub(super) fn answers(&self) -> bool {
        self.trained.responds() || self.conversation.is_some()
    }

    /// Writes for all lines, `batch` of them at once.
    pub(super) fn write_all(
        &mut self,
        batch: usize,
        mut next: impl FnMut() -> anyhow::Result<Option<String>>,
    ) -> anyhow::Result<()> {
        let mut lines = Vec::with_capacity(batch);
        loop {
            // What was read before a line that cannot be read is written first.
            let line = next();
            let ended = !matches!(line, Ok(Some(_)));
            let failed = line.map(|line| lines.extend(line)).err();
            if lines.len() == batch || (ended && !lines.is_empty()) {
                self.write(&lines)?;
                lines.clear();
            }
            if ended {
                return failed.map_or(Ok(()), Err);
            }
        }
    }

    /// Writes for the lines of a file, after those whose texts are written already.
    pub(super) fn answer_lines(&mut self, path: &Path, batch: usize, written: &Written) -> anyhow::Result<()> {
        let texts = self.texts() as u64;
        self.number = written.lines / texts;
        if let Output::File(file) = &mut self.output {
            file.truncate(self.number * texts)?;
        }
        going_on(self.number);
        self.bar = progress(self.output.is_file(), || Some(count(Lines::open(path).ok()?)));
        let mut next = lines_of(Lines::open(path)?);
        for _ in 0..self.number {
            next()?;
        }
        self.write_all(batch, next)
    }

    /// Writes for some lines, and prints it in their order.
    pub(super) fn write(&mut self, lines: &[String]) -> anyhow::Result<()> {
        let answers = self.answers();
        let prompts: Vec<Prompt> = lines.iter().map(|line| self.prompt(line)).collect();
        if let (true, [line], [Prompt::Text(text)]) = (self.streams, lines, &prompts[..]) {
            return self.stream(text, if answers { "" } else { line });
        }
        let found = self.answer((self.number..).zip(prompts).collect())?;
        for (line, answer) in lines.iter().zip(found) {
            self.number += 1;
            match answer {
                Answer::Empty => self.print_none(line, None)?,
                Answer::Refused(reason) => {
                    self.tally.refuse(self.number, &reason);
                    self.print_none(line, Some(&reason))?;
                }
                Answer::Texts(texts, read) => {
                    for (rank, written) in texts.iter().enumerate() {
                        self.tally.count(written, self.number);
                        let (text, told) = (self.said(written)?, self.told(&read, written)?);
                        self.print(rank + 1, line, (if answers { "" } else { line }, &text), written, told)?;
                    }
                }
            }
        }
        self.bar.set_position(self.number);
        self.output.write()
    }

    fn print(
        &mut self,
        rank: usize,
        line: &str,
        (prompt, text): (&str, &str),
        written: &Generated,
        told: Told,
    ) -> anyhow::Result<()> {
        let &Generated { score, finish_reason, ref tokens, .. } = written;
        if self.json {
            let (tokens, finished) = (tokens.len(), Some(written.is_finished()));
            let (finish_reason, score) = (Some(finish_reason), Some(score));
            let line = Line {
                line: self.number,
                rank,
                source: line,
                text,
                finished,
                finish_reason,
                score,
                tokens,
                told,
                error: None,
            };
            return self.output.line(&serde_json::to_string(&line)?);
        }
        let whole = [prompt, text].concat();
        let shown = if self.escape { one_line(&whole, &['\n', '\r']) } else { whole.as_str().into() };
        self.tally.escaped |= shown.len() != whole.len();
        let shown = told.after(&shown);
        match self.texts() > 1 {
            true => self.output.line(&format!("{score:.4}\t{shown}"))?,
            false => self.output.line(&shown)?,
        }
        told.table().iter().try_for_each(|line| self.output.line(line))
    }

    /// As many empty lines as others have texts, for one that is empty or that is not answered.
    fn print_none(&mut self, line: &str, error: Option<&str>) -> anyhow::Result<()> {
        if self.json {
            let (finished, finish_reason, score, told) = (None, None, None, Told::default());
            let (number, text, tokens) = (self.number, "", 0);
            let line =
                Line { line: number, rank: 1, source: line, text, finished, finish_reason, score, tokens, told, error };
            return self.output.line(&serde_json::to_string(&line)?);
        }
        let empty = if self.texts() > 1 { "\t" } else { "" };
        (0..self.texts()).try_for_each(|_| self.output.line(empty))
    }

    /// What is read for a line.
    pub(super) fn text(&self, line: &str) -> anyhow::Result<Text> {
        match &self.conversation {
            Some(system) => Ok(self.trained.prompt(&[&system[..], &[Message::new("user", line)]].concat())?),
            None => Ok(line.into()),
        }
    }

    /// What a written text says.
    pub(super) fn said(&self, written: &Generated) -> anyhow::Result<String> {
        match self.conversation {
            Some(_) => Ok(self.trained.response(written)?),
            None => Ok(written.text.clone()),
        }
    }

    /// Writes for one text, and shows each token as it is chosen.
    fn stream(&mut self, text: &Text, before: &str) -> anyhow::Result<()> {
        let read = match self.encode(self.number, text) {
            Ok(read) => [read],
            Err(reason) => {
                self.number += 1;
                self.tally.refuse(self.number, &reason);
                return print("");
            }
        };
        put(before)?;
        let (trained, numbers) = (&self.trained, [self.number]);
        // What is written of a source begins anew.
        let prompt = if trained.is_language_model() { &read[0][..] } else { &[] };
        let mut stream = Stream::new(trained, prompt, self.conversation.is_some())?;
        let show = |_, token| stream.push(token);
        let written = only(trained.generate_from_ids(&mut self.tape, &read, &numbers, &self.options, show)?)?;
        stream.finish(&self.said(&written)?)?;
        self.number += 1;
        self.tally.count(&written, self.number);
        put("\n")
    }

    /// A line of a conversation.
    pub(super) fn print_answer(&mut self, said: &str, answer: &str, written: &Generated) -> anyhow::Result<()> {
        self.print(1, said, ("", answer), written, Told::default())
    }
}

/// What was written for the one text there is.
pub(super) fn only(mut texts: Vec<Vec<Generated>>) -> anyhow::Result<Generated> {
    let best = texts.pop().and_then(|texts| texts.into_iter().next());
    best.ok_or_else(|| anyhow::anyhow!("nothing was written"))
}

impl Tally {
    pub(super) fn count(&mut self, written: &Generated, number: u64) {
        let add = |(count, first): (u64, u64)| (count + 1, if count == 0 { number } else { first });
        self.texts += 1;
        if written.finish_reason == FinishReason::NoToken {
            if self.stuck.0 == 0 {
                (self.stuck.1, self.stuck.2) = (number, written.tokens.clone());
            }
            self.stuck.0 += 1;
        } else if !written.is_finished() {
            self.unfinished = add(self.unfinished);
        }
        if written.cut {
            self.cut = add(self.cut);
        }
        if written.unknown > 0 {
            self.unknown = add(self.unknown);
        }
    }

    /// Counts a line that is not answered.
    pub(super) fn refuse(&mut self, number: u64, reason: &str) {
        if self.refused.0 == 0 {
            (self.refused.1, self.refused.2) = (number, reason.to_owned());
        }
        self.refused.0 += 1;
    }

    /// That all lines were answered.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match &self.refused {
            (0, ..) => Ok(()),
            (1, 1, reason) if self.texts == 0 => Err(anyhow::anyhow!("{reason}")),
            (count, line, reason) => {
                let lines = if *count == 1 { "1 line was".to_owned() } else { format!("{count} lines were") };
                let first = if *count == 1 { "" } else { "the first of them " };
                let others = if self.texts > 0 { ". The others were answered" } else { "" };
                Err(anyhow::anyhow!("{lines} not answered, {first}line {line}: {reason}{others}"))
            }
        }
    }

    /// Tells what a reader of the texts alone would not see.
    pub(super) fn tell(&self, trained: &Trained, options: &DecodingOptions, grammar: Option<&Grammar>) {
        let of = |count: u64| {
            if self.texts == 1 { "The text".to_owned() } else { format!("{count} of {} texts", self.texts) }
        };
        let first = |line: u64| if self.texts == 1 { String::new() } else { format!(", the first in line {line}") };
        // One continuous text has no end.
        if let (count @ 1.., line) = self.unfinished
            && options.eos.iter().any(|end| !options.forbidden.contains(end))
        {
            note(format_args!(
                "{} did not end, and stopped at the limit{} (--max-new-tokens N sets another).",
                of(count),
                first(line)
            ));
        }
        if let (count @ 1.., line, tokens) = &self.stuck {
            let needed = grammar.and_then(|grammar| grammar.needed_after(tokens, !trained.is_language_model()).ok());
            let needed = needed.filter(|needed| !needed.is_empty());
            let needed = needed.map(|needed| format!(" The grammar has {needed} there.")).unwrap_or_default();
            note(format_args!("{} did not end: no token may come next{}.{needed}", of(*count), first(*line)));
        }
        if let (count @ 1.., line) = self.cut {
            match (options.config.context, trained.is_language_model()) {
                (Some(context), true) => note(format_args!(
                    "{} went beyond the {context} token{} that the model reads at once{}{}: it went on from the last half of \
                     them (--context N changes it, --long-input error refuses such prompts).",
                    of(count),
                    if context == 1 { "" } else { "s" },
                    if trained.context() == Some(context) { ", as in training" } else { "" },
                    first(line)
                )),
                _ => note(format_args!(
                    "{} had a source of more tokens than the model has positions{}: its end was not read.",
                    of(count),
                    first(line)
                )),
            }
        }
        if let (count @ 1.., line) = self.unknown {
            note(format_args!(
                "{} had a source with characters or words that are unknown to the tokenizer{}: what is written can have \
                 nothing to do with them.",
                of(count),
                first(line)
            ));
        }
        if self.escaped {
            note(
                "Line ends within texts are written as \\n, so that each has one line (--raw: as they are; --json: exact).",
            );
        }
    }
}

/// Lines, each after a sign where they are typed.
pub(super) fn asked(
    on_terminal: bool,
    mut next: impl FnMut() -> anyhow::Result<Option<String>>,
) -> impl FnMut() -> anyhow::Result<Option<String>> {
    move || {
        if on_terminal {
            ask();
        }
        next()
    }
}
