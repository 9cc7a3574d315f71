use crate::report::put;
use descant_inference::{TextStream, Trained};

/// Shows a text while it is generated.
pub(super) struct Stream<'a> {
    text: TextStream<'a>,
    failed: Option<anyhow::Error>,
}

impl<'a> Stream<'a> {
    /// For what follows these tokens.
    pub(super) fn new(trained: &'a Trained, prompt: &[u32], chat: bool) -> anyhow::Result<Self> {
        Ok(Self { text: TextStream::new(trained, prompt, chat)?, failed: None })
    }

    /// Shows one more token.
    pub(super) fn push(&mut self, token: u32) {
        if self.failed.is_none() {
            self.failed = self.text.push(token).map_err(anyhow::Error::from).and_then(|more| show(&more)).err();
        }
    }

    /// Shows the rest of the whole text.
    pub(super) fn finish(self, text: &str) -> anyhow::Result<()> {
        self.failed.map_or(Ok(()), Err)?;
        show(self.text.finish(text))
    }
}

fn show(more: &str) -> anyhow::Result<()> {
    if more.is_empty() { Ok(()) } else { put(more) }
}
