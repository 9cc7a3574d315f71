//! What is reported at the end of all texts.

use super::line::Line;
use crate::report::note;
use descant_constraints::Grammar;
use descant_generate::{DecodingOptions, FinishReason, Mode};
use descant_inference::{Generated, Trained};
use std::collections::HashSet;
use std::sync::Arc;

/// What is reported at the end.
#[derive(Default)]
pub(super) struct Tally {
    texts: u64,
    /// Texts that did not end, and the first one's line.
    unfinished: (u64, u64),
    /// Texts that no token could continue, with the first one's line, tokens and grammar.
    stuck: (u64, u64, Vec<u32>, Option<Arc<Grammar>>),
    /// Sources and prompts that were not read whole, and the first one's line.
    cut: (u64, u64),
    /// Conversations whose oldest turns were left out, and the first one's line.
    shortened: (u64, u64),
    /// Sources and prompts with tokens that the tokenizer does not know, and the first one's line and text.
    unknown: (u64, u64, String),
    /// Lines with equal texts among their best ones, and the first of them.
    equal: (u64, u64),
    /// Lines that were not answered, the first one, and why.
    refused: (u64, u64, String),
    /// Conversations that end with what nobody asks, the first one's line and whose message it is.
    unasked: (u64, u64, String),
    /// Whether line ends were escaped.
    pub(super) escaped: bool,
}

impl Tally {
    pub(super) fn count(&mut self, written: &Generated, line: &Line) {
        let number = line.number;
        let add = |(count, first): (u64, u64)| (count + 1, if count == 0 { number } else { first });
        self.texts += 1;
        if matches!(written.finish_reason, FinishReason::NoToken | FinishReason::Unmet) {
            if self.stuck.0 == 0 {
                self.stuck = (0, number, written.tokens.clone(), line.grammar.clone());
            }
            self.stuck.0 += 1;
        } else if !written.is_finished() {
            self.unfinished = add(self.unfinished);
        }
        if written.cut {
            self.cut = add(self.cut);
        }
        if line.is_shortened {
            self.shortened = add(self.shortened);
        }
        if written.unknown > 0 {
            if self.unknown.0 == 0 {
                (self.unknown.1, self.unknown.2) = (number, line.source.clone());
            }
            self.unknown.0 += 1;
        }
    }

    /// Counts a line that has a text twice, by other tokens.
    pub(super) fn count_equal(&mut self, texts: &[&str], line: &Line) {
        let mut seen = HashSet::new();
        if !texts.iter().all(|text| seen.insert(*text)) {
            self.equal = (self.equal.0 + 1, if self.equal.0 == 0 { line.number } else { self.equal.1 });
        }
    }

    /// Counts a line that is not answered.
    pub(super) fn refuse(&mut self, number: u64, reason: &str) {
        if self.refused.0 == 0 {
            (self.refused.1, self.refused.2) = (number, reason.to_owned());
        }
        self.refused.0 += 1;
    }

    /// Counts a conversation whose last message, of this role, asks nothing.
    pub(super) fn count_unasked(&mut self, number: u64, role: &str) {
        if self.unasked.0 == 0 {
            (self.unasked.1, self.unasked.2) = (number, role.to_owned());
        }
        self.unasked.0 += 1;
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
    pub(super) fn tell(&self, trained: &Trained, options: &DecodingOptions) {
        let of = |count: u64| {
            if self.texts == 1 { "The text".to_owned() } else { format!("{count} of {} texts", self.texts) }
        };
        let first = |line: u64| if self.texts == 1 { String::new() } else { format!(", the first in line {line}") };
        // One continuous text has no end.
        if let (count @ 1.., line) = self.unfinished
            && options.eos.iter().any(|end| !options.forbidden.contains(end))
        {
            let config = &options.config;
            // Of an encoder-decoder, it is reported before.
            let least = config.min_length.zip(config.max_new_tokens).filter(|(least, most)| least > most);
            let least = least.filter(|_| trained.is_language_model()).map_or_else(String::new, |(least, _)| {
                let by = match trained.recipe.generation.min_length == Some(least) {
                    true => format!("the run's own min_length = {least} (--min-length 0 lifts it)"),
                    false => format!("--min-length {least}"),
                };
                format!(" By {by}, none may end before {least} tokens, its prompt included.")
            });
            note(format_args!(
                "{} did not end, and stopped at the limit{} (--max-new-tokens N sets another).{least}",
                of(count),
                first(line)
            ));
        }
        // Samples are draws.
        if let (count @ 1.., line) = self.equal
            && options.config.mode() != Mode::Sampling
        {
            let lines = if count == 1 { "1 line has".to_owned() } else { format!("{count} lines have") };
            note(format_args!(
                "{lines} equal texts among the best, the first line {line}: of different tokens, which a beam search ranks apart, as that of \
                 transformers does."
            ));
        }
        if let (count @ 1.., line, tokens, grammar) = &self.stuck {
            let needed =
                grammar.as_ref().and_then(|grammar| grammar.needed_after(tokens, !trained.is_language_model()).ok());
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
        if let (count @ 1.., line) = self.shortened {
            note(format_args!(
                "{} had a conversation that with its answer is longer than what the model reads at once{}: its oldest turns were left \
                 out (--context N reads more, --long-input error refuses it).",
                of(count),
                first(line)
            ));
        }
        if let (count @ 1.., line, role) = &self.unasked {
            let some = if *count == 1 { "1 conversation ends" } else { &format!("{count} conversations end") };
            note(format_args!(
                "{some} with a message of the {role} (line {line}), and none of a user after it: what is written is another message of the \
                 assistant."
            ));
        }
        if let (count @ 1.., line, text) = &self.unknown {
            let reader = trained.tokenizers.source.as_ref();
            let what = if reader.is_some() { "source" } else { "prompt" };
            let parts = reader.unwrap_or(&trained.tokenizers.target).unknown_parts(text);
            let example = parts.ok().and_then(|parts| parts.first().map(|part| format!(", such as {part:?}")));
            note(format_args!(
                "{} had a {what} with characters or words that are unknown to the tokenizer{}{}: what is written can have \
                 nothing to do with them.",
                of(*count),
                example.unwrap_or_default(),
                first(*line)
            ));
        }
        if self.escaped {
            note(
                "Line ends within texts are written as \\n, so that each has one line (--raw: as they are; --json: exact).",
            );
        }
    }
}
