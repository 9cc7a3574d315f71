use super::stream::Stream;
use crate::report::{ask, note, one_line, print, put};
use descant_autograd::Tape;
use descant_generate::DecodingOptions;
use descant_inference::{Generated, Trained};
use descant_text::{Message, Text};
use serde::Serialize;

/// Writes for lines, and prints what comes of them.
pub(super) struct Writer {
    pub(super) trained: Trained,
    pub(super) options: DecodingOptions,
    pub(super) tape: Tape,
    /// Lines so far.
    pub(super) number: u64,
    /// Whether scores are printed.
    pub(super) scores: bool,
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

/// What is reported at the end.
#[derive(Default)]
pub(super) struct Tally {
    texts: u64,
    /// Texts that did not end, and the first one's line.
    unfinished: (u64, u64),
    /// Sources and prompts that were not read whole, and the first one's line.
    cut: (u64, u64),
    /// Sources and prompts with tokens that the tokenizer does not know, and the first one's line.
    unknown: (u64, u64),
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
    finished: bool,
    score: f64,
    tokens: usize,
}

impl Writer {
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

    /// Writes for some lines, and prints it in their order.
    pub(super) fn write(&mut self, lines: &[String]) -> anyhow::Result<()> {
        let answers = self.trained.responds() || self.conversation.is_some();
        let is_empty = |line: &String| line.trim().is_empty() && (self.empty_lines || answers);
        let full = || (self.number..).zip(lines).filter(|(_, line)| !is_empty(line));
        let texts: Vec<Text> = full().map(|(_, line)| self.text(line)).collect::<anyhow::Result<_>>()?;
        let numbers: Vec<u64> = full().map(|(number, _)| number).collect();
        let empty: Vec<bool> = lines.iter().map(is_empty).collect();
        let (mut written, streamed) = match (&texts[..], self.streams) {
            ([text], true) => (vec![vec![self.stream(text, if answers { "" } else { &lines[0] })?]], true),
            ([], _) => (Vec::new(), false),
            _ => (self.trained.generate_batch(&mut self.tape, &texts, numbers, &self.options, |_, _| ())?, false),
        };
        let mut written = written.drain(..);
        for (line, is_empty) in lines.iter().zip(empty) {
            self.number += 1;
            let nothing = || {
                let mut empty = Generated::default();
                empty.finished = true;
                vec![empty]
            };
            let texts = if is_empty { nothing() } else { written.next().unwrap_or_default() };
            for (rank, written) in texts.iter().enumerate() {
                self.tally.count(written, self.number);
                let text = self.said(written)?;
                match streamed {
                    true => put("\n")?,
                    false => self.print(rank + 1, line, if answers { "" } else { line }, &text, written)?,
                }
            }
        }
        Ok(())
    }

    fn print(&mut self, rank: usize, line: &str, prompt: &str, text: &str, written: &Generated) -> anyhow::Result<()> {
        let &Generated { finished, score, ref tokens, .. } = written;
        if self.json {
            let tokens = tokens.len();
            let line = Line { line: self.number, rank, source: line, text, finished, score, tokens };
            return print(serde_json::to_string(&line)?);
        }
        let whole = [prompt, text].concat();
        let shown = if self.escape { one_line(&whole, &['\n', '\r']) } else { whole.as_str().into() };
        self.tally.escaped |= shown.len() != whole.len();
        match self.scores {
            true => print(format_args!("{score:.4}\t{shown}")),
            false => print(shown),
        }
    }

    /// What is read for a line.
    fn text(&self, line: &str) -> anyhow::Result<Text> {
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

    /// Writes for one text, and shows each token as it is chosen, without a line end behind the last one.
    fn stream(&mut self, text: &Text, before: &str) -> anyhow::Result<Generated> {
        put(before)?;
        let (trained, numbers) = (&self.trained, [self.number]);
        let read = [trained.encode(text)?];
        // What is written of a source begins anew.
        let prompt = if trained.is_language_model() { &read[0][..] } else { &[] };
        let mut stream = Stream::new(trained, prompt, self.conversation.is_some())?;
        let show = |_, token| stream.push(token);
        let written = only(trained.generate_from_ids(&mut self.tape, &read, &numbers, &self.options, show)?)?;
        stream.finish(&self.said(&written)?)?;
        Ok(written)
    }

    /// A line of a conversation.
    pub(super) fn print_answer(&mut self, said: &str, answer: &str, written: &Generated) -> anyhow::Result<()> {
        self.print(1, said, "", answer, written)
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
        if !written.finished {
            self.unfinished = add(self.unfinished);
        }
        if written.cut {
            self.cut = add(self.cut);
        }
        if written.unknown > 0 {
            self.unknown = add(self.unknown);
        }
    }

    /// Tells what a reader of the texts alone would not see.
    pub(super) fn tell(&self, trained: &Trained, options: &DecodingOptions) {
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
        if let (count @ 1.., line) = self.cut {
            match (options.config.context, trained.is_language_model()) {
                (Some(context), true) => note(format_args!(
                    "{} went beyond the {context} tokens that the model reads at once{}{}: from there on, it read the last of \
                     them alone (--context N changes it).",
                    of(count),
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
