use super::writer::{Writer, asked};
use crate::report::{note, put};
use descant_text::{Message, Text};
use descant_train::Written;

impl Writer {
    /// One conversation after the other, each line with all before it.
    pub(super) fn talk(
        &mut self,
        on_terminal: bool,
        next: impl FnMut() -> anyhow::Result<Option<String>>,
    ) -> anyhow::Result<()> {
        let beginning = self.conversation.clone().unwrap_or_default();
        let (mut messages, mut forgets) = (beginning.clone(), false);
        let mut next = asked(on_terminal, next);
        while let Some(line) = next()? {
            if line.trim().is_empty() {
                (messages, forgets) = (beginning.clone(), false);
                self.number += 1;
                continue;
            }
            messages.push(Message::new("user", &line));
            let (prompt, forgot) = self.recent(&mut messages, beginning.len())?;
            if forgot && !std::mem::replace(&mut forgets, true) {
                note(
                    "The conversation, with room for an answer, is longer than what the model reads at once: its oldest turns are left \
                     out from now on. --context N reads more, --max-length N leaves less room.",
                );
            }
            let written = self.answer(&prompt)?;
            self.number += 1;
            self.tally.count(&written, self.number);
            let answer = self.said(&written)?;
            match self.streams {
                true => put("\n")?,
                false => self.print_answer(&line, &answer, &written)?,
            }
            messages.push(Message::new("assistant", &answer));
        }
        Ok(())
    }

    fn answer(&mut self, prompt: &Text) -> anyhow::Result<Written> {
        if self.streams {
            return self.stream(prompt, "");
        }
        let texts = self.trained.write(
            &mut self.tape,
            std::slice::from_ref(prompt),
            self.number..,
            &self.options,
            |_, _| (),
        )?;
        texts.into_iter().flatten().next().ok_or_else(|| anyhow::anyhow!("nothing was written"))
    }

    /// The prompt of a conversation, without its oldest turns where it would leave no room for an answer; and whether any
    /// were left out. Its `beginning` and what was said last stay.
    fn recent(&self, messages: &mut Vec<Message>, beginning: usize) -> anyhow::Result<(Text, bool)> {
        let room = self.options.context.map(|context| context - self.options.max_length.min(context / 2));
        let mut forgot = false;
        loop {
            let prompt = self.trained.prompt(messages)?;
            let fits = match room {
                Some(room) => self.trained.encode(&prompt)?.len() <= room,
                None => true,
            };
            if fits || messages.len() <= beginning + 2 {
                return Ok((prompt, forgot));
            }
            // What the user said, and what was answered.
            messages.drain(beginning..beginning + 2);
            forgot = true;
        }
    }
}
