use crate::report::put;
use descant_text::Text;
use descant_train::{Trained, Written};

/// Shows a text while it is written: what is certain not to change as more tokens come.
pub(super) struct Stream<'a> {
    trained: &'a Trained,
    prompt: Vec<u32>,
    /// In a chat, what the template writes after an answer.
    after: Option<String>,
    written: Written,
    /// Bytes shown.
    shown: usize,
    failed: Option<anyhow::Error>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(trained: &'a Trained, text: &Text, chat: bool) -> anyhow::Result<Self> {
        let prompt = if trained.is_language_model() { trained.encode(text)? } else { Vec::new() };
        let after = trained.chat.as_ref().filter(|_| chat).map(|template| template.after_answer().to_string());
        let written =
            Written { text: String::new(), tokens: Vec::new(), score: 0.0, finished: false, cut: false, unknown: 0 };
        Ok(Self { trained, prompt, after, written, shown: 0, failed: None })
    }

    /// Shows one more token.
    pub(super) fn push(&mut self, token: u32) {
        self.written.tokens.push(token);
        if self.failed.is_none() {
            self.failed = self.show().err();
        }
    }

    fn show(&mut self) -> anyhow::Result<()> {
        self.written.text = self.trained.continuation(&self.prompt, &self.written.tokens)?;
        let text = match self.after {
            Some(_) => self.trained.answer(&self.written)?,
            None => self.written.text.clone(),
        };
        self.put(&text[..certain(&text, self.after.as_deref())])
    }

    fn put(&mut self, text: &str) -> anyhow::Result<()> {
        if let Some(more) = text.get(self.shown..).filter(|more| !more.is_empty()) {
            put(more)?;
            self.shown = text.len();
        }
        Ok(())
    }

    /// Shows the rest.
    pub(super) fn finish(mut self, text: &str) -> anyhow::Result<()> {
        self.failed.take().map_or(Ok(()), Err)?;
        self.put(text)
    }
}

/// How many bytes of a text stay as they are: not the bytes of a character that is not whole yet, and not what may become
/// the end of an answer.
fn certain(text: &str, after: Option<&str>) -> usize {
    let whole = text.trim_end_matches('\u{fffd}');
    let Some(after) = after else { return whole.len() };
    let begun = after.char_indices().map(|(at, _)| &after[..at]).rev().find(|begun| whole.ends_with(begun));
    whole.len() - begun.map_or(0, str::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_change_is_held_back() {
        assert_eq!(certain("abc", None), 3);
        assert_eq!(certain("ab\u{fffd}", None), 2);
        assert_eq!(certain("ab <|im", Some("<|im_end|>")), 3);
        assert_eq!(certain("ab <|im_", Some("<|im_end|>")), 3);
        assert_eq!(certain("ab |im", Some("<|im_end|>")), 6);
        assert_eq!(certain("ab", Some("")), 2);
    }
}
