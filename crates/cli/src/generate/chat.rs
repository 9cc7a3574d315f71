use super::answers::Outcome;
use super::explanations::Inspection;
use super::line::Line;
use super::stream::Stream;
use super::writer::Writer;
use crate::lines::next_line;
use crate::report::{ask, note, put};
use descant_generate::Mode;
use descant_inference::{Error, Generated};
use descant_text::{Lines, Message};

/// What a model was asked, and what it answered.
const EXCHANGE: usize = 2;

impl Writer<'_> {
    /// One conversation after the other, each line with all before it. One that cannot be answered is no part of it.
    pub(super) fn talk(&mut self, on_terminal: bool, mut lines: Lines) -> anyhow::Result<()> {
        let system = self.conversation.clone().unwrap_or_default();
        let (mut messages, mut is_truncated, mut number) = (system.clone(), false, 0);
        let mut next = || {
            if on_terminal {
                ask();
            }
            next_line(&mut lines)
        };
        while let Some(line) = next()? {
            number += 1;
            let line = match line {
                Ok(line) => line,
                Err(reason) => {
                    self.refuse(number, reason, on_terminal)?;
                    continue;
                }
            };
            if line.trim().is_empty() {
                (messages, is_truncated) = (system.clone(), false);
                continue;
            }
            messages.push(Message::new("user", &line));
            let turns = messages.len();
            let written = match self.reply(&mut messages, system.len(), number - 1) {
                Ok(written) => written,
                Err(error) => {
                    let reason = self.reason(&error.downcast::<Error>()?, self.grammar.as_deref());
                    self.refuse(number, reason, on_terminal)?;
                    messages.pop();
                    continue;
                }
            };
            let answer = self.said(&written)?;
            let line = Line { number, source: line, grammar: self.grammar.clone(), ..Line::default() };
            match self.streams {
                true => {
                    self.answers.tally.count(&written, &line);
                    put("\n")?;
                }
                false => self.answers.texts(&line, "", &[(answer.clone(), written, Inspection::default())])?,
            }
            if messages.len() < turns && !std::mem::replace(&mut is_truncated, true) {
                note(
                    "The conversation with its answer is longer than what the model reads at once: its oldest turns are left out \
                     from now on. --context N reads more.",
                );
            }
            messages.push(Message::new("assistant", &answer));
        }
        Ok(())
    }

    /// Counts a line that is not answered, and reports at once why to somebody who types.
    fn refuse(&mut self, number: u64, reason: String, on_terminal: bool) -> anyhow::Result<()> {
        if on_terminal {
            note(&reason);
        }
        self.answers.none(&Line { number, ..Line::default() }, Outcome::Refused(reason))
    }

    /// What is answered to a conversation. Where it and the answer are longer than what the model reads at once, its oldest
    /// turns are left out, but for the `system` messages and the last one: before the first token where the conversation
    /// alone is, and else as soon as the answer has come so far, which then goes on.
    fn reply(&mut self, messages: &mut Vec<Message>, system: usize, number: u64) -> anyhow::Result<Generated> {
        let (trained, options) = (self.trained, self.options);
        let mut stream = self.streams.then(|| Stream::new(trained, &[], true)).transpose()?;
        let is_beam = options.config.mode() == Mode::Beam;
        // What is written last, a token or the end, is not read.
        let context = options.config.context.unwrap_or(usize::MAX).saturating_add(1);
        let usual =
            trained.longest_target().unwrap_or(usize::MAX).min(options.max_new_tokens()).min(context / 2).max(1);
        let (mut wanted, mut attempt) = (1, 0);
        let (mut tokens, mut score, mut log_probability) = (Vec::new(), 0.0, 0.0);
        loop {
            let prompt = trained.control(trained.prompt(messages)?, &self.control)?;
            let room = context.saturating_sub(trained.encode(&prompt)?.len() + tokens.len());
            let may_truncate = messages.len() > system + EXCHANGE;
            if may_truncate && room < wanted {
                messages.drain(system..system + EXCHANGE);
                wanted = usual;
                continue;
            }
            let left = options.max_new_tokens() - tokens.len();
            let max_length = if may_truncate { left.min(room) } else { left };
            // Each attempt has draws of its own.
            let some = options.clone().with(|o| {
                o.config.max_new_tokens = Some(max_length);
                if max_length < left {
                    o.config.forced_eos_token_id = None;
                }
            });
            let show = |token| stream.iter_mut().for_each(|stream| stream.push(token));
            let mut written = self.generate_one(
                trained.request(prompt, None)?.with_tokens(&tokens),
                number | attempt << 48,
                &some,
                show,
            )??;
            let goes_on = !written.is_finished() && max_length < left;
            // The scores of a beam search are those of whole texts, and nothing of it was shown: it begins again.
            if !(goes_on && is_beam) {
                tokens.append(&mut written.tokens);
                score += written.score;
                log_probability += written.log_probability;
            }
            if !goes_on {
                written.text = trained.tokenizers.target.decode(&tokens)?;
                (written.score, written.log_probability) = (score, log_probability);
                written.tokens = tokens;
                stream.map_or(Ok(()), |stream| stream.finish(&trained.response(&written)?))?;
                return Ok(written);
            }
            messages.drain(system..system + EXCHANGE);
            (wanted, attempt) = (usual, attempt + 1);
        }
    }
}
