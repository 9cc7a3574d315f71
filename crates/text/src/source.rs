use crate::chat::ASSISTANT;
use crate::{ChatTemplate, Lines, Message, TextError};
use serde::Deserialize;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Where texts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A text for a language model, each line a sequence.
    Lines {
        /// The file.
        path: PathBuf,
    },
    /// One continuous text for a language model.
    Stream {
        /// The file.
        path: PathBuf,
    },
    /// Two files that belong together line by line.
    Parallel {
        /// The file that is read.
        source: PathBuf,
        /// The file that is written.
        target: PathBuf,
    },
    /// One file of tab-separated pairs.
    Tsv {
        /// The file.
        path: PathBuf,
        /// The column that is read, from 0.
        source_column: usize,
        /// The column that is written.
        target_column: usize,
    },
    /// A file of JSON objects, one a line: of a `prompt` and its `completion`, or of `messages`.
    Json {
        /// The file.
        path: PathBuf,
    },
    /// Conversations: pairs of what a user says and what is answered, or messages.
    Chat {
        /// The pairs, or the messages.
        source: Box<Self>,
        /// How they become texts.
        template: ChatTemplate,
    },
}

/// A side of parallel text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is read.
    Source,
    /// What is written.
    Target,
}

impl Source {
    /// Whether it has a source side.
    pub fn has_pairs(&self) -> bool {
        !matches!(self, Self::Lines { .. } | Self::Stream { .. })
    }

    /// The file of the target side.
    pub fn path(&self) -> &Path {
        match self {
            Self::Lines { path } | Self::Stream { path } | Self::Tsv { path, .. } | Self::Json { path } => path,
            Self::Parallel { target, .. } => target,
            Self::Chat { source, .. } => source.path(),
        }
    }

    /// All texts, each with its source where it has one.
    ///
    /// # Errors
    /// Where a file cannot be opened.
    pub fn pairs(&self) -> Result<Pairs, TextError> {
        let (source, template) = match self {
            Self::Chat { source, template } => (&**source, Some(template.clone())),
            source => (source, None),
        };
        let (lines, other) = match source {
            Self::Lines { path } | Self::Tsv { path, .. } => (Lines::open(path)?, None),
            Self::Json { path } => (Lines::objects(path)?, None),
            Self::Stream { path } => (Lines::continuous(path)?, None),
            Self::Parallel { source, target } => (Lines::open(target)?, Some(Lines::open(source)?)),
            Self::Chat { source, .. } => return source.pairs(),
        };
        Ok(Pairs { source: source.clone(), lines, other, template, ready: VecDeque::new() })
    }

    /// The lines of one side; of a text without sides, of the target.
    ///
    /// # Errors
    /// Where a file cannot be opened.
    pub fn lines(&self, side: Side) -> Result<impl Iterator<Item = Result<String, TextError>> + Send, TextError> {
        let pick = move |(source, target): (Option<String>, String)| match side {
            Side::Source => source.unwrap_or_default(),
            Side::Target => target,
        };
        Ok(self.pairs()?.map(move |pair| pair.map(pick)))
    }
}

/// The texts of a [`Source`], in its order.
pub struct Pairs {
    source: Source,
    lines: Lines,
    other: Option<Lines>,
    template: Option<ChatTemplate>,
    /// Of a conversation, the answers that come next.
    ready: VecDeque<(String, String)>,
}

/// What one line holds, or one of either file.
enum Example {
    Text(String),
    Pair(String, String),
    Messages(Vec<Message>),
}

const EXPECTED: &str = "expected {\"prompt\": \"…\", \"completion\": \"…\"}, or {\"messages\": [{\"role\": \"user\", \"content\": \"…\"}, …]}";

/// A line of JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Json {
    Pair { prompt: String, completion: String },
    Messages { messages: Vec<Message> },
}

impl Pairs {
    fn read(&mut self) -> Result<Option<(Option<String>, String)>, TextError> {
        loop {
            if let Some((prompt, answer)) = self.ready.pop_front() {
                return Ok(Some((Some(prompt), answer)));
            }
            let messages = match (self.example()?, &self.template) {
                (None, _) => return Ok(None),
                (Some(Example::Text(text)), _) => return Ok(Some((None, text))),
                (Some(Example::Pair(source, target)), None) => return Ok(Some((Some(source), target))),
                (Some(Example::Pair(source, target)), Some(_)) => {
                    vec![Message::new("user", &source), Message::new(ASSISTANT, &target)]
                }
                (Some(Example::Messages(messages)), _) => messages,
            };
            let no_template =
                || Err("messages need data.chat_template, a Jinja file that makes texts of them".to_owned());
            let answers = self.template.as_ref().map_or_else(no_template, |template| template.answers(&messages));
            self.ready = answers.map_err(|reason| self.wrong(reason))?.into();
        }
    }

    fn wrong(&self, reason: String) -> TextError {
        TextError::Example { path: self.source.path().to_owned(), line: self.lines.number(), reason }
    }

    fn example(&mut self) -> Result<Option<Example>, TextError> {
        match &self.source {
            Source::Lines { .. } | Source::Stream { .. } => Ok(self.lines.read()?.map(Example::Text)),
            Source::Chat { .. } => Ok(None),
            Source::Json { .. } => loop {
                let Some(line) = self.lines.read()? else { return Ok(None) };
                if line.trim().is_empty() {
                    continue;
                }
                let example = serde_json::from_str(&line).map_err(|error| match error.is_data() {
                    true => self.wrong(EXPECTED.to_owned()),
                    false => self.wrong(format!("it is not JSON: {error}")),
                })?;
                return Ok(Some(match example {
                    Json::Pair { prompt, completion } => Example::Pair(prompt, completion),
                    Json::Messages { messages } => Example::Messages(messages),
                }));
            },
            Source::Tsv { path, source_column, target_column } => loop {
                let Some(line) = self.lines.read()? else { return Ok(None) };
                if line.trim().is_empty() {
                    continue;
                }
                let column = |i: usize| line.split('\t').nth(i).map(str::to_owned);
                let (Some(source), Some(target)) = (column(*source_column), column(*target_column)) else {
                    return Err(TextError::Columns {
                        path: path.clone(),
                        line: self.lines.number(),
                        expected: source_column.max(target_column) + 1,
                        found: line.split('\t').count(),
                    });
                };
                return Ok(Some(Example::Pair(source, target)));
            },
            Source::Parallel { source, target } => {
                let Some(other) = &mut self.other else { return Ok(None) };
                match (other.read()?, self.lines.read()?) {
                    (Some(source), Some(target)) => Ok(Some(Example::Pair(source, target))),
                    (None, None) => Ok(None),
                    _ => {
                        while other.read()?.is_some() {}
                        while self.lines.read()?.is_some() {}
                        Err(TextError::UnequalLines {
                            source_path: source.clone(),
                            target_path: target.clone(),
                            source_lines: other.number(),
                            target_lines: self.lines.number(),
                        })
                    }
                }
            }
        }
    }
}

impl Iterator for Pairs {
    type Item = Result<(Option<String>, String), TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
