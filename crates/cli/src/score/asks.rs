//! What lines ask to be scored, in the form in which the model reads it.

use crate::control::of_line;
use crate::dialogue::Dialogue;
use crate::json_line::JsonLine;
use descant_generate::{DecodingOptions, FinishReason};
use descant_inference::{Control, Error, Scored, Trained};
use descant_text::{Message, Text};
use serde::Deserialize;
use serde_json::Value;

/// What a line asks: nothing of an empty one; of an answer to a conversation that loses turns meanwhile, its parts before and after that.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) texts: Vec<Scored>,
    /// Whether it is of a conversation whose oldest turns are not read.
    pub(super) is_shortened: bool,
}

/// What lines are read for.
pub(super) struct Asks {
    pub(super) trained: Trained,
    pub(super) options: DecodingOptions,
    /// The control attributes of all lines that say no others.
    pub(super) control: Control,
    /// Whether sources and prompts are what a user says.
    pub(super) is_chat: bool,
    /// What every conversation begins with.
    pub(super) system: Option<Message>,
}

/// An answer of a conversation.
enum Answer<'a> {
    Text(&'a str),
    /// As it was generated.
    Tokens(Vec<u32>),
}

/// Fields of objects of `generate` that say nothing of what is scored.
const OF_ANSWERS: [&str; 7] = ["line", "rank", "finished", "score", "log_probability", "cut", "unknown"];

fn said(error: Error) -> String {
    error.to_string()
}

impl Asks {
    /// A source and a text between tabs, or a text alone.
    pub(super) fn columns(&self, line: &str, ends: bool) -> Result<Parts, String> {
        if line.trim().is_empty() {
            return Ok(Parts::default());
        }
        if !self.trained.responds() && !self.is_chat {
            return self.text(Scored::new(None, line.into()), &self.control, ends);
        }
        match line.split('\t').collect::<Vec<_>>()[..] {
            [source, target] => self.pair(self.system.clone(), (source, target), &self.control, ends),
            [_] => Err("it has no tab between a source or prompt and its text".to_owned()),
            ref columns => Err(format!(
                "it has {} columns, where a source or prompt and its text are two. Give a text with a tab in it as an object of a \
                 .jsonl",
                columns.len()
            )),
        }
    }

    /// What an object asks; nothing of one of `generate` for which nothing was generated. Fields of the same names that are not as `generate`
    /// writes them are those of others.
    pub(super) fn object(&self, object: &JsonLine, ends: bool) -> Result<Parts, String> {
        OF_ANSWERS.iter().for_each(|name| _ = object.has(name));
        let reason = object.get("finish_reason")?.and_then(|reason| FinishReason::deserialize(reason).ok());
        let ids = object.get("ids")?.filter(Value::is_array);
        if reason.is_none() && is_without_text(object, ids.as_ref())? {
            return Ok(Parts::default());
        }
        let control = &of_line(&self.control, &self.trained, object)?;
        let ends = reason.map_or(ends, |reason| reason == FinishReason::Eos);
        if let Some(ids) = ids.filter(|_| reason.is_some()) {
            return self.generated(object, ids, control, ends);
        }
        let [source, target] = [&["source", "prompt"], &["target", "completion"]].map(|names| object.one_of(names));
        match (source?, target?, object.one_of(&["text", "messages"])?) {
            (None, None, Some("messages")) => {
                let mut messages = self.messages(object)?;
                let last = messages.pop().unwrap_or_else(|| Message::new("", ""));
                if last.role != "assistant" {
                    return Err(format!(
                        "its last message is of the role {:?}: what is scored is an answer, of \"assistant\"",
                        last.role
                    ));
                }
                self.conversation(messages, Answer::Text(&last.content), control, ends)
            }
            (None, None, Some(name)) if self.trained.is_language_model() => {
                self.text(Scored::new(None, object.text(name)?.into()), control, ends)
            }
            (Some(source), Some(target), None) => {
                let pair = (object.text(source)?, object.text(target)?);
                self.pair(self.system(object)?, (&pair.0, &pair.1), control, ends)
            }
            (Some(first), _, Some(second)) | (None, Some(first), Some(second)) => {
                Err(format!("it has both \"{first}\" and \"{second}\""))
            }
            _ => Err("expected a \"source\" or \"prompt\" with a \"target\" or \"completion\", or of a language model a \"text\" \
                      alone"
                .to_owned()),
        }
    }

    /// Whether it is a text that a model which answers writes with another space before it.
    pub(super) fn is_spaced(&self, text: &Scored) -> bool {
        let (trained, tokenizer) = (&self.trained, &self.trained.tokenizers.target);
        let Scored { source: Some(source), target, tokens: None, .. } = text else { return false };
        let target = target.to_string();
        trained.is_language_model()
            && trained.responds()
            && target.starts_with(char::is_whitespace)
            && tokenizer.encode(&target).ok() != trained.encode_after(&source.to_string(), &target).ok()
    }

    /// The text of an object of `generate --json`, by its tokens.
    fn generated(&self, object: &JsonLine, ids: Value, control: &Control, ends: bool) -> Result<Parts, String> {
        let trained = &self.trained;
        let Some(name) = object.one_of(&["source", "prompt", "messages"])? else {
            return Err(
                "it has \"ids\", and no \"source\" or \"prompt\" or \"messages\" after which they were generated"
                    .to_owned(),
            );
        };
        let ids: Vec<u32> = serde_json::from_value(ids).map_err(|error| format!("its \"ids\": {error}"))?;
        let vocabulary = trained.tokenizers.target.vocabulary();
        if let Some(id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
            return Err(format!("its \"ids\": there is no token {id}: the vocabulary has {vocabulary}, from 0"));
        }
        let is_same = |written: &str| match object.one_of(&["text", "target", "completion"])? {
            Some(name) if object.text(name)? != written => Err(format!(
                "its \"ids\" are {written:?}, and its {name:?} is another text: leave \"ids\" out to score that, or take them from \
                 the same line of generate --json"
            )),
            _ => Ok(()),
        };
        if name == "messages" || self.is_chat {
            let messages = match name {
                "messages" => self.messages(object)?,
                name => {
                    let user = Message::new("user", &object.text(name)?);
                    self.system(object)?.into_iter().chain([user]).collect()
                }
            };
            let written = trained.tokenizers.target.decode(&ids).map_err(|error| error.to_string())?;
            is_same(&trained.response_text(&written, &ids).map_err(said)?)?;
            return self.conversation(messages, Answer::Tokens(ids), control, ends);
        }
        let source = Text::from(object.text(name)?);
        let read = if trained.is_language_model() { trained.encode(&source).map_err(said)? } else { Vec::new() };
        let written = trained.continuation(&read, &ids).map_err(said)?;
        is_same(&written)?;
        self.text(Scored::new(Some(source), Text::from(written)).with_tokens(ids), control, ends)
    }

    /// A source or prompt and its text; in a chat, what a user says and the answer.
    fn pair(
        &self,
        system: Option<Message>,
        (source, target): (&str, &str),
        control: &Control,
        ends: bool,
    ) -> Result<Parts, String> {
        if !self.is_chat {
            return self.text(Scored::new(Some(source.into()), target.into()), control, ends);
        }
        let messages = system.into_iter().chain([Message::new("user", source)]).collect();
        self.conversation(messages, Answer::Text(target), control, ends)
    }

    /// A text after these attributes: they stand before what is read for it.
    fn text(&self, mut text: Scored, control: &Control, ends: bool) -> Result<Parts, String> {
        let controlled = |text: Text| self.trained.control(text, control).map_err(said);
        match text.source.take() {
            Some(source) => text.source = Some(controlled(source)?),
            None => text.target = controlled(text.target)?,
        }
        Ok(Parts { texts: vec![if ends { text } else { text.without_eos() }], is_shortened: false })
    }

    /// The answer of a conversation, in the form of the template; with its end, as in training.
    fn conversation(
        &self,
        messages: Vec<Message>,
        answer: Answer<'_>,
        control: &Control,
        ends: bool,
    ) -> Result<Parts, String> {
        let trained = &self.trained;
        let special = trained.tokenizers.target.special();
        // Whoever has written a text might have written more.
        let more = usize::from(matches!(answer, Answer::Text(_)));
        let tokens = match answer {
            Answer::Tokens(tokens) => tokens,
            Answer::Text(text) => {
                let template = trained.chat.as_ref().ok_or("the model has no chat template")?;
                let whole = [&messages[..], &[Message::new("assistant", text)]].concat();
                let (_, answer) = template.answer(&whole, messages.len())?;
                let mut tokens = trained.tokenizers.target.encode_text(&answer).map_err(|error| error.to_string())?;
                tokens.truncate(special.trim_turn(&[], &tokens).1.len());
                let mark = trained.response_end().map_err(said)?.and_then(|end| end.mark).filter(|_| !ends);
                tokens.truncate(tokens.iter().position(|&id| Some(id) == mark).unwrap_or(tokens.len()));
                tokens
            }
        };
        let has_end = tokens.last().is_some_and(|id| special.eos.contains(id));
        let mut options = self.options.clone();
        options.config.max_new_tokens = Some(options.max_new_tokens().max(tokens.len() + more));
        let mut dialogue = Dialogue::new(messages, 1, control.clone());
        let readings = dialogue.readings((trained, &options), &tokens, ends && !has_end).map_err(said)?;
        let part = |(prompt, of): (Text, std::ops::Range<usize>)| {
            let text =
                Scored::new(Some(prompt), Text::default()).with_tokens(tokens[..of.end].to_vec()).begun(of.start);
            if ends && of.end == tokens.len() { text } else { text.without_eos() }
        };
        Ok(Parts { texts: readings.into_iter().map(part).collect(), is_shortened: dialogue.is_shortened })
    }

    /// The messages of an object, after what the system says to all.
    fn messages(&self, object: &JsonLine) -> Result<Vec<Message>, String> {
        let messages = object.messages()?;
        let has_system = messages.iter().any(Message::is_system);
        Ok(self.system.iter().filter(|_| !has_system).cloned().chain(messages).collect())
    }

    /// What the system says in a conversation of an object.
    fn system(&self, object: &JsonLine) -> Result<Option<Message>, String> {
        Ok(if self.is_chat { object.system()?.or_else(|| self.system.clone()) } else { None })
    }
}

/// Whether an object has no text, because nothing was generated, or only an error came of it.
fn is_without_text(object: &JsonLine, ids: Option<&Value>) -> Result<bool, String> {
    for name in ["text", "target", "completion", "messages"] {
        if object.get(name)?.is_some_and(|value| !value.is_null() && value != "") {
            return Ok(false);
        }
    }
    let is_error = object.get("error")?.is_some_and(|error| !error.is_null());
    Ok(is_error || ids.and_then(Value::as_array).is_some_and(Vec::is_empty))
}
