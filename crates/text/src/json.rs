//! Texts in JSON: objects one a line, or in one list, and what their keys mean.

mod meant;
mod unique_keys;

use crate::annotations::Annotated;
use crate::chat::{ASSISTANT, kind, meant_role, text};
use crate::lines::{LONGEST_OBJECT, Line, Lines};
use crate::object_keys::KEYS;
use crate::{Annotations, Message, TextError};
use meant::{MESSAGE, meant};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;
pub use unique_keys::UniqueKeys;

/// What the objects of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonForm {
    /// A `text` each.
    Texts,
    /// A `prompt` or `source` and its `completion` or `target`; or an `instruction`, perhaps with an `input`, and its `output`.
    Pairs,
    /// `messages`.
    Messages,
    /// A `prompt` or `source`, and a `chosen` and a `rejected` answer to it.
    Preferences,
}

/// What an object says.
#[derive(Debug, PartialEq)]
pub(crate) enum Record {
    Text(String),
    Pair {
        system: Option<String>,
        prompt: String,
        completion: String,
        /// A worse answer than the completion, where it is a preference.
        rejected: Option<String>,
    },
    /// Each with whether it is to be learned.
    Messages(Vec<(Message, bool)>),
}

impl Record {
    pub(crate) fn form(&self) -> JsonForm {
        match self {
            Self::Text(_) => JsonForm::Texts,
            Self::Pair { rejected: Some(_), .. } => JsonForm::Preferences,
            Self::Pair { .. } => JsonForm::Pairs,
            Self::Messages(_) => JsonForm::Messages,
        }
    }

    /// Reads an object, and what it says beside its texts.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(json: &str, names: Option<&[String]>, beside: &Annotations) -> Result<SaidRecord, String> {
        let Fields(fields) = serde_json::from_str(json).map_err(|error| match error.is_data() {
            true => reason(&error),
            false => format!("it is not JSON: {}", reason(&error)),
        })?;
        Self::of_fields(fields, names, beside)
    }

    /// The same of keys and values; where `names` are given, of those alone.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn of_fields(
        mut fields: Vec<(String, Value)>,
        names: Option<&[String]>,
        beside: &Annotations,
    ) -> Result<SaidRecord, String> {
        let of = |fields: &[(String, Value)]| match names {
            Some(names) => Self::named(fields, names),
            None => Self::of(fields),
        };
        let count = |fields: &[(String, Value)]| names.is_some_and(|names| fields.len() > names.len());
        let said: Vec<(String, Value)> = fields.extract_if(.., |(name, _)| beside.has(name)).collect();
        let value = |name: &str| match &said.iter().filter(|(said, _)| said == name).collect::<Vec<_>>()[..] {
            [] => Ok(None),
            [(_, value)] => Ok(Some(value.clone())),
            _ => Err(format!("it has the key {name:?} twice")),
        };
        Ok(SaidRecord { record: of(&fields)?, said: beside.read(value)?, has_more: count(&fields) })
    }

    /// A text, or a source and its target, perhaps with a worse one.
    pub(crate) fn of_texts(texts: Vec<String>) -> Self {
        let mut texts = texts.into_iter();
        match (texts.next().unwrap_or_default(), texts.next()) {
            (prompt, Some(completion)) => Self::Pair { system: None, prompt, completion, rejected: texts.next() },
            (only, None) => Self::Text(only),
        }
    }

    /// The values of these names.
    fn named(fields: &[(String, Value)], names: &[String]) -> Result<Self, String> {
        let value = |name: &String| match &fields.iter().filter(|(key, _)| key == name).collect::<Vec<_>>()[..] {
            [(_, value)] => text(Some(value), &format!("{name:?}")),
            [] => Err(format!("there is no {name:?}: its keys are {}", shown_keys(fields, |_| None))),
            _ => Err(format!("it has the key {name:?} twice")),
        };
        Ok(Self::of_texts(names.iter().map(value).collect::<Result<_, _>>()?))
    }

    fn of(fields: &[(String, Value)]) -> Result<Self, String> {
        let has = |key: &str| fields.iter().any(|(name, _)| name == key);
        let only = |keys: &[&str]| {
            let known = |name: &String| keys.contains(&name.as_str());
            match fields
                .iter()
                .enumerate()
                .find(|(i, (name, _))| !known(name) || fields[..*i].iter().any(|(earlier, _)| earlier == name))
            {
                Some((_, (name, _))) if known(name) => Err(format!("it has the key {name:?} twice")),
                Some((_, (name, _))) => Err(match meant(name, keys.iter().filter(|key| !has(key))) {
                    Some(key) => format!("it has the key {name:?}: did you mean {key:?}?"),
                    None => format!("it has the key {name:?}, which is not read beside {:?}. Take it out", keys[0]),
                }),
                None => Ok(()),
            }
        };
        let get = |key: &str| fields.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        let text = |key: &str| text(get(key), &format!("{key:?}"));
        let optional = |key: &str| has(key).then(|| text(key)).transpose();
        if has("messages") {
            only(&["messages"])?;
            return messages(get("messages")).map(Self::Messages);
        }
        if has("chosen") || has("rejected") {
            let prompt = if has("source") { "source" } else { "prompt" };
            only(&[prompt, "chosen", "rejected", "system"])?;
            let (prompt, completion, rejected) = (text(prompt)?, text("chosen")?, Some(text("rejected")?));
            return Ok(Self::Pair { system: optional("system")?, prompt, completion, rejected });
        }
        let is_instruction = has("instruction") || has("output");
        if has("prompt") || has("completion") || !is_instruction && (has("source") || has("target")) {
            let names = if has("source") || has("target") { ["source", "target"] } else { ["prompt", "completion"] };
            let one = |other: &'static str, name: &'static str| if has(other) { other } else { name };
            let (prompt, completion) = (one("prompt", names[0]), one("completion", names[1]));
            only(&[prompt, completion, "system"])?;
            let (prompt, completion) = (text(prompt)?, text(completion)?);
            return Ok(Self::Pair { system: optional("system")?, prompt, completion, rejected: None });
        }
        if is_instruction {
            only(&["instruction", "input", "output", "system"])?;
            let (mut prompt, completion) = (text("instruction")?, text("output")?);
            if let Some(input) = optional("input")?.filter(|input| !input.is_empty()) {
                prompt = format!("{prompt}\n\n{input}");
            }
            return Ok(Self::Pair { system: optional("system")?, prompt, completion, rejected: None });
        }
        if has("text") {
            only(&["text"])?;
            return text("text").map(Self::Text);
        }
        let found = shown_keys(fields, |name| meant(name, KEYS.iter()));
        Err(format!(
            "its keys are {found}; expected \"prompt\" and \"completion\", \"source\" and \"target\", \"messages\", \"instruction\" and \"output\", \
             \"prompt\", \"chosen\" and \"rejected\", or \"text\""
        ))
    }
}

/// What an object or a row says, in its texts and beside them.
#[derive(Debug)]
pub(crate) struct SaidRecord {
    pub(crate) record: Record,
    pub(crate) said: Annotated,
    /// Whether there are keys that nobody reads.
    pub(crate) has_more: bool,
}

/// Keys that a message shows.
const SHOWN: usize = 8;

/// Keys as a message shows them, each with the one that was meant.
fn shown_keys(fields: &[(String, Value)], meant: impl Fn(&str) -> Option<&'static str>) -> String {
    let shown = |(name, _): &(String, Value)| match meant(name) {
        Some(key) => format!("{name:?} (did you mean {key:?}?)"),
        None => format!("{name:?}"),
    };
    let mut found: Vec<String> = fields.iter().take(SHOWN).map(shown).collect();
    found.extend((fields.len() > SHOWN).then(|| "…".to_owned()));
    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
}

/// What is wrong, and where in the line: the reader counts every line as the first.
fn reason(error: &serde_json::Error) -> String {
    let (text, column) = (error.to_string(), error.column());
    let place = format!(" at line {} column {column}", error.line());
    text.strip_suffix(&place).map_or_else(|| text.clone(), |reason| format!("{reason} (byte {column} of the line)"))
}

fn messages(value: Option<&Value>) -> Result<Vec<(Message, bool)>, String> {
    let all = match value {
        Some(Value::Array(all)) => all,
        Some(value) => return Err(format!("\"messages\" is {}: expected a list", kind(value))),
        None => return Err("\"messages\" is missing".to_owned()),
    };
    let message = |(number, value): (usize, &Value)| {
        let no_fields = Map::new();
        let fields = value.as_object().unwrap_or(&no_fields);
        if let Some(key) = fields.keys().find(|key| !MESSAGE.contains(&key.as_str())) {
            return Err(match meant(key, MESSAGE.iter().filter(|known| !fields.contains_key(**known))) {
                Some(known) => format!("message {number} has the key {key:?}: did you mean {known:?}?"),
                None => format!("message {number} has the key {key:?}, which is not read. Take it out"),
            });
        }
        let message = Message::from_json(number, value)?;
        if let Some(known) = meant_role(&message.role) {
            let role = &message.role;
            return Err(format!("message {number} is by the role {role:?}: did you mean {known:?}?"));
        }
        let weight = fields.get("weight").map_or(Some(1.0), Value::as_f64);
        match weight {
            Some(1.0) => Ok((message, true)),
            Some(0.0) if message.role == ASSISTANT => Ok((message, false)),
            _ => Err(format!(
                "\"weight\" of message {number}: expected 1, or, of what the assistant says, 0 for what is not learned"
            )),
        }
    };
    (1..).zip(all).map(message).collect()
}

/// The keys and values of an object, as often as they stand there.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object such as {\"prompt\": \"…\", \"completion\": \"…\"}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, UniqueKeys(value))) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// The objects of a file, one a line; or those of one list, however it is broken into lines.
pub(crate) struct Objects {
    lines: Lines,
    list: Option<List>,
}

/// How far a list is read.
#[derive(Default)]
struct List {
    /// What was read and not yet looked at.
    piece: String,
    at: usize,
    line: u64,
    /// Whether the list has begun, and whether it has ended.
    begun: bool,
    ended: bool,
    /// Whether a comma has to come before another object.
    between: bool,
}

impl Objects {
    pub(crate) fn open(path: &Path) -> Result<Self, TextError> {
        let mut lines = Lines::objects(path)?;
        match lines.peek()? {
            Some(b'[') => Ok(Self { lines: Lines::continuous(path)?, list: Some(List::default()) }),
            _ => Ok(Self { lines, list: None }),
        }
    }

    /// The line in which the last object begins.
    pub(crate) fn number(&self) -> u64 {
        self.list.as_ref().map_or(self.lines.number(), |list| list.line)
    }

    /// The next object.
    ///
    /// # Errors
    /// Where the file cannot be read, or its list is none: then with the line.
    pub(crate) fn next(&mut self, wrong: impl Fn(u64, String) -> TextError) -> Result<Option<Line>, TextError> {
        let Some(list) = &mut self.list else {
            loop {
                match self.lines.next_line()? {
                    Some(Line::Text(text)) if text.trim().is_empty() => {}
                    line => return Ok(line),
                }
            }
        };
        let (mut object, mut large) = (String::new(), false);
        let (mut depth, mut quoted, mut escaped) = (0u32, false, false);
        loop {
            if list.at == list.piece.len() {
                let Some(piece) = self.lines.read()? else {
                    return match list.ended {
                        true => Ok(None),
                        false => Err(wrong(self.lines.number(), "the file ends within its list".to_owned())),
                    };
                };
                (list.piece, list.at) = (piece, 0);
            }
            let rest = &list.piece[list.at..];
            if depth == 0 {
                let first = rest.chars().next().unwrap_or_default();
                list.at += first.len_utf8();
                match first {
                    c if c.is_ascii_whitespace() => {}
                    '[' if !list.begun => list.begun = true,
                    ']' if list.begun && !list.ended && (list.between || list.line == 0) => list.ended = true,
                    ',' if list.between && !list.ended => list.between = false,
                    '{' if list.begun && !list.ended && !list.between => {
                        (list.between, list.line) = (true, self.lines.number());
                        object.push('{');
                        depth = 1;
                    }
                    c => {
                        let reason = format!("it is no list of objects: found {c:?}");
                        return Err(wrong(self.lines.number(), reason));
                    }
                }
                continue;
            }
            // All bytes that mean something stand for themselves in UTF-8.
            let mut end = rest.len();
            for (i, byte) in rest.bytes().enumerate() {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if quoted => escaped = true,
                    b'"' => quoted = !quoted,
                    b'{' | b'[' if !quoted => depth += 1,
                    b'}' | b']' if !quoted => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    end = i + 1;
                    break;
                }
            }
            large |= object.len() + end > LONGEST_OBJECT;
            match large {
                true => object.clear(),
                false => object.push_str(&rest[..end]),
            }
            list.at += end;
            if depth == 0 {
                return Ok(Some(if large { Line::Large } else { Line::Text(object) }));
            }
        }
    }
}

#[cfg(test)]
mod tests;
