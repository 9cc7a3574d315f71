//! Chat templates: how the messages of a conversation become one text, as the Jinja templates of Hugging Face's
//! tokenizers say it.

pub(crate) mod renderer;

use renderer::Renderer;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it, such as `system`, `user`, `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// What `role` says.
    pub fn new(role: &str, content: &str) -> Self {
        Self { role: role.to_owned(), content: content.to_owned() }
    }
}

/// The role of the model.
pub const ASSISTANT: &str = "assistant";

/// A template. It is given `messages`, and `add_generation_prompt`; `bos_token` and `eos_token` are empty, as the
/// beginning and the end of a sequence are added to every text.
#[derive(Clone)]
pub struct ChatTemplate {
    text: Arc<str>,
    renderer: Arc<Renderer>,
}

impl ChatTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn new(text: &str) -> Result<Self, String> {
        Ok(Self { text: Arc::from(text), renderer: Arc::new(Renderer::new(text)?) })
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, String> {
        self.renderer.render(messages, add_generation_prompt)
    }

    /// The text after which the model answers.
    ///
    /// # Errors
    /// What the template objects to.
    pub fn prompt(&self, messages: &[Message]) -> Result<String, String> {
        self.render(messages, true)
    }

    /// What message `i` of a conversation is, after the text that it answers.
    ///
    /// # Errors
    /// What the template objects to.
    pub fn answer(&self, messages: &[Message], i: usize) -> Result<(String, String), String> {
        let prompt = self.prompt(&messages[..i])?;
        let whole = self.render(&messages[..=i], false)?;
        match whole.strip_prefix(&prompt) {
            Some(answer) => Ok((prompt, answer.to_owned())),
            None => Err(format!(
                "the chat template does not write message {} after the prompt for it: what it writes with \
                 add_generation_prompt must be how the answer begins",
                i + 1
            )),
        }
    }

    /// Every answer of the model in a conversation, after the text that it answers.
    ///
    /// # Errors
    /// What the template objects to; a conversation without an answer.
    pub fn answers(&self, messages: &[Message]) -> Result<Vec<(String, String)>, String> {
        let answers = (0..messages.len()).filter(|&i| messages[i].role == ASSISTANT).map(|i| self.answer(messages, i));
        let answers = answers.collect::<Result<Vec<_>, _>>()?;
        match answers.is_empty() {
            true => Err(format!("none of its messages is by the role {ASSISTANT:?}")),
            false => Ok(answers),
        }
    }

    /// What an answer says: without what the template writes after it, such as `<|im_end|>`.
    pub fn content<'a>(&self, answer: &'a str) -> &'a str {
        let messages = [Message::new("user", "?"), Message::new(ASSISTANT, "!")];
        let answers = self.answers(&messages).unwrap_or_default();
        let after =
            answers.first().and_then(|(_, answer)| answer.split_once('!')).map_or("", |(_, after)| after.trim());
        let answer = answer.trim();
        answer.strip_suffix(after).unwrap_or(answer).trim_end()
    }
}

impl PartialEq for ChatTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for ChatTemplate {}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChatTemplate").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHATML: &str = include_str!("../../../recipes/chatml.jinja");

    #[test]
    fn every_answer_follows_its_prompt() {
        let template = ChatTemplate::new(CHATML).unwrap();
        let messages = [
            Message::new("user", "One?"),
            Message::new("assistant", " 1 "),
            Message::new("user", "Two?"),
            Message::new("assistant", "2"),
        ];
        let answers = template.answers(&messages).unwrap();
        let first = "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\n";
        let second = format!("{first}1<|im_end|>\n<|im_start|>user\nTwo?<|im_end|>\n<|im_start|>assistant\n");
        let expected = [(first.to_owned(), "1<|im_end|>\n".to_owned()), (second, "2<|im_end|>\n".to_owned())];
        assert_eq!(answers, expected);
        assert_eq!(template.content("1<|im_end|>\n"), "1");
        assert_eq!(template.content(" 1 and "), "1 and");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let wrong = ChatTemplate::new("{% for message in messages %}").unwrap_err();
        assert!(wrong.contains("chat_template:1"), "{wrong}");
        let strict = ChatTemplate::new("{{ raise_exception('no system messages') }}").unwrap();
        assert!(strict.prompt(&[]).unwrap_err().contains("no system messages"));
        let template = ChatTemplate::new(CHATML).unwrap();
        assert!(template.answers(&[Message::new("user", "x")]).unwrap_err().contains("assistant"));
        let turned = ChatTemplate::new("{% if add_generation_prompt %}A:{% else %}B{% endif %}").unwrap();
        assert!(turned.answers(&[Message::new("assistant", "x")]).unwrap_err().contains("message 1"));
    }
}
