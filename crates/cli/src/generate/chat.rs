use super::answers::Outcome;
use super::explanations::Inspection;
use super::line::Line;
use super::stream::Stream;
use super::writer::Writer;
use crate::dialogue::Dialogue;
use crate::json_line::check_text;
use crate::lines::next_line;
use crate::report::{ask, note, put};
use descant_inference::Generated;
use descant_text::{Lines, Message};

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
            // Somebody who types may talk about JSON.
            let line = match line.and_then(|line| if on_terminal { Ok(line) } else { check_text(&line).map(|()| line) })
            {
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
            let said = [&messages[..], &[Message::new("user", &line)]].concat();
            let mut dialogue = Dialogue::new(said, number, self.control.clone());
            let written = match self.reply(&mut dialogue)? {
                Ok(written) => written,
                Err(reason) => {
                    self.refuse(number, reason, on_terminal)?;
                    continue;
                }
            };
            messages = dialogue.messages;
            let answer = self.said(&written)?;
            let line = Line { number, source: line, grammar: self.grammar.clone(), ..Line::default() };
            match self.streams {
                true => {
                    self.answers.tally.count(&written, &line);
                    put("\n")?;
                }
                false => self.answers.texts(&line, "", &[(answer.clone(), written, Inspection::default())])?,
            }
            if dialogue.is_shortened && !std::mem::replace(&mut is_truncated, true) {
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

    /// What is answered to a conversation, or why nothing is. Turns that it leaves no room for are left out.
    fn reply(&mut self, dialogue: &mut Dialogue) -> anyhow::Result<Result<Generated, String>> {
        let trained = self.trained;
        let mut stream = self.streams.then(|| Stream::new(trained, &[], true)).transpose()?;
        loop {
            let (request, number) = match self.ask(dialogue) {
                Ok(next) => next,
                Err(reason) => return Ok(Err(reason)),
            };
            let show = |token| stream.iter_mut().for_each(|stream| stream.push(token));
            let written = match self.generate_one(request, number, show) {
                Ok(written) => written,
                Err(error) => return Ok(Err(self.reason(&error, self.grammar.as_deref()))),
            };
            if !dialogue.goes_on((trained, self.options), std::slice::from_ref(&written)) {
                stream.map_or(Ok(()), |stream| stream.finish(&trained.response(&written)?))?;
                return Ok(Ok(written));
            }
        }
    }
}
