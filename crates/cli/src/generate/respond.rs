//! From what a line asks to what comes of it.

use super::answer::{Answer, Prompt};
use super::explanations::Told;
use super::writer::Writer;
use crate::report::note;
use descant_inference::{Generated, LongInput};
use descant_text::Text;

/// How many times as long as in training a source is before that is reported.
const MUCH_LONGER: usize = 2;

impl Writer {
    /// What a line asks.
    pub(super) fn prompt(&self, line: &str) -> Prompt {
        if line.trim().is_empty() && (self.empty_lines || self.answers()) {
            return Prompt::Empty;
        }
        self.text(line).map_or_else(|error| Prompt::Refused(format!("{error:#}")), Prompt::Text)
    }

    /// Answers some prompts, each with the number that seeds its sampling.
    pub(super) fn answer(&mut self, prompts: Vec<(u64, Prompt)>) -> anyhow::Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(prompts.len());
        let (mut numbers, mut texts, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for (number, prompt) in prompts {
            answers.push(match prompt {
                Prompt::Empty => Answer::Empty,
                Prompt::Refused(reason) => Answer::Refused(reason),
                Prompt::Text(text) => match self.encode(number, &text) {
                    Err(reason) => Answer::Refused(reason),
                    Ok(read) => {
                        numbers.push(number);
                        texts.push(text.to_string());
                        ids.push(read.clone());
                        Answer::Texts(Vec::new(), read)
                    }
                },
            });
        }
        let generated = match self.long.filter(|_| self.cuts()) {
            Some(how) => self.trained.generate_in_parts(&mut self.tape, &texts, &numbers, &self.options, how)?,
            None => self.trained.generate_from_ids(&mut self.tape, &ids, &numbers, &self.options, |_, _| ())?,
        };
        let mut generated = generated.into_iter();
        for answer in &mut answers {
            if let Answer::Texts(texts, _) = answer {
                *texts = generated.next().unwrap_or_default();
            }
        }
        Ok(answers)
    }

    /// What is reported of a text beside it.
    pub(super) fn told(&mut self, read: &[u32], written: &Generated) -> anyhow::Result<Told> {
        match self.explanations.is_asked() {
            true => self.explanations.of(&self.trained, &mut self.tape, read, written),
            false => Ok(Told::default()),
        }
    }

    /// Whether long sources are cut into parts.
    fn cuts(&self) -> bool {
        let is_source = !self.trained.is_language_model() && self.conversation.is_none();
        is_source && matches!(self.long, Some(LongInput::Split | LongInput::Window))
    }

    /// The tokens that the model reads for a text.
    ///
    /// # Errors
    /// Why it is not answered.
    pub(super) fn encode(&mut self, number: u64, text: &Text) -> Result<Vec<u32>, String> {
        let read = self.trained.encode(text).map_err(|error| error.to_string())?;
        let (tokens, is_refused) = (read.len(), self.long == Some(LongInput::Error));
        if self.trained.is_language_model() {
            return match self.options.config.context.filter(|&context| is_refused && tokens > context) {
                Some(context) => Err(format!("the prompt has {tokens} tokens, and the model reads {context} at once")),
                None => Ok(read),
            };
        }
        let Some(limit) = self.trained.source_limit().filter(|limit| tokens > limit.tokens && !self.cuts()) else {
            return Ok(read);
        };
        let most = limit.tokens;
        if limit.is_hard || is_refused {
            let has = if limit.is_hard { "has positions for" } else { "was trained on at most" };
            return Err(format!(
                "the source has {tokens} tokens, and the model {has} {most} (--long-input split cuts it between sentences)"
            ));
        }
        if tokens > MUCH_LONGER * most && !std::mem::replace(&mut self.told_long, true) {
            note(format_args!(
                "Line {} has a source of {tokens} tokens, where the model was trained on at most {most}: the time grows with \
                 the square of the length, and what is written may have little to do with it. --long-input split cuts such \
                 sources between sentences.",
                number + 1
            ));
        }
        Ok(read)
    }
}
