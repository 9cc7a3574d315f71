//! What is asked, line by line: of the command line, a file of lines or of JSON objects, or standard input.

use crate::json_line::{ASKED, JsonLine, check_text};
use crate::lines::{count, is_json_lines, is_of_line, wrong_with_line};
use crate::report::ask;
use descant_text::{Lines, Message, TextError};
use serde_json::value::RawValue;
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

/// A line that was read.
pub(super) struct Request {
    /// From 1.
    pub(super) line: u64,
    /// As it stands in the line.
    pub(super) id: Option<Box<RawValue>>,
    /// What is asked, or why it cannot be read.
    pub(super) asks: Result<Asks, String>,
    /// The JSON object that the line is.
    pub(super) fields: JsonLine,
}

/// What a line asks.
pub(super) enum Asks {
    /// An answer to a line of a text or of the command line, or its continuation.
    Line(String),
    /// The same of a text in an object.
    Text(String),
    /// An answer to a conversation.
    Conversation(Vec<Message>),
}

/// What is next.
pub(super) enum Next {
    Request(Request),
    /// Nothing yet.
    Later,
    End,
}

/// The requests of an input.
pub(super) struct Requests<'a> {
    origin: Origin<'a>,
    /// The line that was read last.
    number: u64,
}

enum Origin<'a> {
    Texts(std::slice::Iter<'a, String>),
    File {
        lines: Lines,
        is_json: bool,
    },
    /// A thread reads it, so that lines are answered while others are waited for.
    StandardInput {
        lines: Receiver<Line>,
        /// Whether they are typed, each after a sign.
        asks: bool,
    },
}

/// A line with its number.
type Line = (u64, Result<String, TextError>);

impl<'a> Requests<'a> {
    pub(super) fn texts(texts: &'a [String]) -> Self {
        Self { origin: Origin::Texts(texts.iter()), number: 0 }
    }

    /// Those of a file, after the first ones.
    pub(super) fn file(path: &Path, answered: u64) -> anyhow::Result<Self> {
        let is_json = is_json_lines(path);
        let mut requests = Self { origin: Origin::File { lines: open(path)?, is_json }, number: 0 };
        for _ in 0..answered {
            requests.next(true)?;
        }
        Ok(requests)
    }

    pub(super) fn standard_input(asks: bool) -> anyhow::Result<Self> {
        let (sender, lines) = sync_channel(WAITING);
        let read = move || {
            let mut lines = Lines::standard_input();
            while let Some(line) = read(&mut lines)
                && sender.send(line).is_ok()
            {}
        };
        std::thread::Builder::new().name("standard-input".to_owned()).spawn(read)?;
        Ok(Self { origin: Origin::StandardInput { lines, asks }, number: 0 })
    }

    /// The number of the line that was read last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next request; where that is not to be waited for, perhaps none yet.
    ///
    /// # Errors
    /// Where nothing more can be read.
    pub(super) fn next(&mut self, wait: bool) -> anyhow::Result<Next> {
        loop {
            let (line, is_json) = match &mut self.origin {
                Origin::Texts(texts) => (texts.next().map(|text| (self.number + 1, Ok(text.clone()))), false),
                Origin::File { lines, is_json } => (read(lines), *is_json),
                Origin::StandardInput { lines, asks } => {
                    if wait && *asks {
                        ask();
                    }
                    match if wait { lines.recv().map_err(|_| TryRecvError::Disconnected) } else { lines.try_recv() } {
                        Err(TryRecvError::Empty) => return Ok(Next::Later),
                        line => (line.ok(), false),
                    }
                }
            };
            let Some((line, text)) = line else { return Ok(Next::End) };
            self.number = line;
            let request = match text {
                Ok(text) if is_json && text.trim().is_empty() => continue,
                Ok(text) if is_json => Request::parse(line, &text),
                Ok(text) => Request::new(line, check_text(&text).map(|()| Asks::Line(text))),
                Err(error) if !is_of_line(&error) => return Err(error.into()),
                Err(error) => Request::new(line, Err(wrong_with_line(&error))),
            };
            return Ok(Next::Request(request));
        }
    }
}

/// Lines of standard input that are read before they are needed.
const WAITING: usize = 1024;

fn open(path: &Path) -> Result<Lines, TextError> {
    if is_json_lines(path) { Lines::objects(path) } else { Lines::open(path) }
}

/// How many lines a file has; none where it cannot be read.
pub(super) fn count_lines(path: &Path) -> Option<u64> {
    open(path).ok().map(count)
}

/// The next line, or why nothing more can be read; none at the end.
fn read(lines: &mut Lines) -> Option<Line> {
    match lines.read() {
        Ok(None) | Err(TextError::Empty { .. }) => None,
        Ok(Some(line)) => Some((lines.number(), Ok(line))),
        Err(error) => Some((lines.number(), Err(error))),
    }
}

impl Request {
    /// The bytes of what is asked.
    pub(super) fn length(&self) -> usize {
        match &self.asks {
            Err(_) => 0,
            Ok(Asks::Line(text) | Asks::Text(text)) => text.len(),
            Ok(Asks::Conversation(messages)) => messages.iter().map(|message| message.content.len()).sum(),
        }
    }

    fn new(line: u64, asks: Result<Asks, String>) -> Self {
        Self { line, id: None, asks, fields: JsonLine::default() }
    }

    fn parse(line: u64, text: &str) -> Self {
        match JsonLine::parse(text) {
            Ok(fields) => Self { line, id: fields.id(), asks: asks(&fields), fields },
            Err(reason) => Self::new(line, Err(reason)),
        }
    }
}

/// What an object asks.
fn asks(object: &JsonLine) -> Result<Asks, String> {
    match object.one_of(&ASKED)? {
        None => Err("it has no \"text\", \"prompt\", \"source\" or \"messages\"".to_owned()),
        Some("messages") => object.messages().map(Asks::Conversation),
        Some(text) => object.text(text).map(Asks::Text),
    }
}
