use super::answers::Outcome;
use super::explanations::Inspection;
use super::line::Line;
use super::stream::Stream;
use super::writer::Writer;
use crate::lines::next_line;
use crate::report::{ask, note, put};
use descant_generate::{Begun, FinishReason, Mode};
use descant_inference::{Generated, LongInput, Request};
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
            let (before, turns) = (messages.clone(), messages.len() + 1);
            messages.push(Message::new("user", &line));
            let written = match self.reply(&mut messages, system.len(), number)? {
                Ok(written) => written,
                Err(reason) => {
                    self.refuse(number, reason, on_terminal)?;
                    messages = before;
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

    /// What is answered to a conversation, or why nothing is. Where it and the answer are longer than what the model reads at once, its
    /// oldest turns are left out, but for the `system` messages and the last one: before the first token where the conversation
    /// alone is, and else as soon as the answer has come so far, which then goes on. Where long prompts are refused, none is left out.
    fn reply(
        &mut self,
        messages: &mut Vec<Message>,
        system: usize,
        line: u64,
    ) -> anyhow::Result<Result<Generated, String>> {
        let (trained, options) = (self.trained, self.options);
        let mut stream = self.streams.then(|| Stream::new(trained, &[], true)).transpose()?;
        // What is written last, a token or the end, is not read.
        let context = options.config.context.unwrap_or(usize::MAX).saturating_add(1);
        let most = options.max_new_tokens();
        let usual = trained.longest_target().unwrap_or(usize::MAX).min(most).min(context / 2).max(1);
        let (mut wanted, mut attempt, mut begun) = (1, 0, Begun::default());
        loop {
            let request = match self.said_so_far(messages) {
                Ok(request) => request,
                Err(reason) => return Ok(Err(reason)),
            };
            let read = request.tokens().len();
            let room = context.saturating_sub(read + begun.tokens.len());
            let may_truncate = messages.len() > system + EXCHANGE && self.long != Some(LongInput::Error);
            if may_truncate && room < wanted {
                messages.drain(system..system + EXCHANGE);
                wanted = usual;
                continue;
            }
            if let Err(reason) = self.check_length(line, read) {
                return Ok(Err(reason));
            }
            let pause = begun.tokens.len().saturating_add(room);
            let may_pause = may_truncate && pause < most;
            if may_pause {
                begun = begun.pausing_at(pause);
            }
            // Each attempt has draws of its own.
            let number = (line - 1) | attempt << 48;
            let show = |token| stream.iter_mut().for_each(|stream| stream.push(token));
            let written = match self.generate_one(request.begun(std::mem::take(&mut begun)), number, show) {
                Ok(written) => written,
                Err(error) => return Ok(Err(self.reason(&error, self.grammar.as_deref()))),
            };
            let is_paused = written.finish_reason == FinishReason::Length && written.tokens.len() >= pause;
            if !(may_pause && is_paused) {
                stream.map_or(Ok(()), |stream| stream.finish(&trained.response(&written)?))?;
                return Ok(Ok(written));
            }
            // The best of several texts is known at their ends, and nothing of it was shown: it begins again.
            if options.config.mode() != Mode::Beam && options.config.candidates() == 1 {
                begun = Begun::new(written.tokens, written.log_probability);
            }
            messages.drain(system..system + EXCHANGE);
            (wanted, attempt) = (usual, attempt + 1);
        }
    }

    /// What is read of a conversation.
    fn said_so_far(&self, messages: &[Message]) -> Result<Request, String> {
        let prompt = self.trained.prompt(messages).and_then(|prompt| self.trained.control(prompt, &self.control));
        let request = prompt.and_then(|prompt| self.trained.request(prompt, None));
        request.map_err(|error| self.reason(&error, None))
    }
}
