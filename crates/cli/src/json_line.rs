use crate::lines::is_json_lines;
use crate::report::note;
use descant_text::{Lines, Message, UniqueKeys};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::cell::RefCell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// The fields of which one holds what is asked.
pub(crate) const ASKED: [&str; 4] = ["text", "prompt", "source", "messages"];

/// That a line which is taken for a text is no object of a .jsonl: the model would read its braces.
///
/// # Errors
/// What to do with it.
pub(crate) fn check_text(line: &str) -> Result<(), String> {
    let object = JsonLine::parse(line.trim());
    match object.ok().and_then(|object| ASKED.into_iter().find(|name| object.has(name))) {
        None => Ok(()),
        Some(name) => Err(format!(
            "it is a JSON object with {name:?}: such lines are read from a file whose name ends in .jsonl (--input FILE). To give one \
             as it stands, make it the \"text\" of another"
        )),
    }
}

/// A line that is a JSON object: each field once, as it stands there, and read where it is asked for.
#[derive(Default)]
pub(crate) struct JsonLine {
    fields: BTreeMap<String, Box<RawValue>>,
    /// The names that were asked for.
    asked: RefCell<BTreeSet<String>>,
    /// The keys of its messages that are not read.
    of_messages: RefCell<BTreeSet<String>>,
}

/// The name of a field that stands there twice, or all fields.
struct Fields(Result<BTreeMap<String, Box<RawValue>>, String>);

impl JsonLine {
    /// # Errors
    /// What is wrong with the line.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let wrong = |error: serde_json::Error| format!("it is not valid JSON: {}", reason(&error, "the line"));
        let whole: &RawValue = serde_json::from_str(line).map_err(wrong)?;
        if !whole.get().starts_with('{') {
            return Err("it is no JSON object such as {\"text\": \"…\"}".to_owned());
        }
        let Fields(fields) = serde_json::from_str(line).map_err(wrong)?;
        fields
            .map(|fields| Self { fields, ..Self::default() })
            .map_err(|name| format!("it has the field {name:?} twice"))
    }

    /// As it stands there, whatever it is, so that numbers of any size come back as they are.
    pub(crate) fn id(&self) -> Option<Box<RawValue>> {
        self.ask("id").map(ToOwned::to_owned)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.ask(name).is_some()
    }

    fn ask(&self, name: &str) -> Option<&RawValue> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.fields.get(name).map(|value| &**value)
    }

    /// The fields that nobody asked for, and the keys of its messages that are not read.
    pub(crate) fn unread(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let own = self.names().filter(|name| !asked.contains(*name)).map(|name| format!("{name:?}"));
        own.chain(self.of_messages.borrow().iter().map(|key| format!("{key:?} of messages"))).collect()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// The one of these fields that it has.
    ///
    /// # Errors
    /// Where it has several.
    pub(crate) fn one_of<'n>(&self, names: &[&'n str]) -> Result<Option<&'n str>, String> {
        let given: Vec<&str> = names.iter().copied().filter(|name| self.has(name)).collect();
        match given[..] {
            [first, second, ..] => Err(format!("it has both \"{first}\" and \"{second}\"")),
            _ => Ok(given.first().copied()),
        }
    }

    /// The value of a field.
    ///
    /// # Errors
    /// What is wrong with it, such as a number that is too large.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Value>, String> {
        let Some(raw) = self.ask(name) else { return Ok(None) };
        let UniqueKeys(value) =
            serde_json::from_str(raw.get()).map_err(|error| format!("its {name:?}: {}", reason(&error, "it")))?;
        Ok(Some(value))
    }

    /// The text of a field.
    ///
    /// # Errors
    /// Where it has none.
    pub(crate) fn text(&self, name: &str) -> Result<String, String> {
        match self.get(name)? {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(format!("its {name:?} is no text")),
            None => Err(format!("it has no {name:?}")),
        }
    }

    /// The conversation of its `messages`; a `system` beside them says the first of them.
    ///
    /// # Errors
    /// Where there is none, and which message is none.
    pub(crate) fn messages(&self) -> Result<Vec<Message>, String> {
        let value = self.get("messages")?.unwrap_or_default();
        let Value::Array(all) = value else { return Err("its \"messages\" are no list".to_owned()) };
        let message = |(number, value): (usize, &Value)| {
            let keys = value.as_object().into_iter().flat_map(|fields| fields.keys());
            self.of_messages
                .borrow_mut()
                .extend(keys.filter(|key| !["role", "content"].contains(&key.as_str())).cloned());
            Message::from_json(number, value).map_err(|reason| format!("its \"messages\": {reason}"))
        };
        let said = (1..).zip(&all).map(message).collect::<Result<Vec<_>, _>>()?;
        if said.is_empty() {
            return Err("its \"messages\" are empty".to_owned());
        }
        let system = self.system()?;
        if system.is_some() && said.iter().any(Message::is_system) {
            return Err("it has a \"system\", and a message of the system: leave one of them out".to_owned());
        }
        Ok(system.into_iter().chain(said).collect())
    }

    /// What its `system` says.
    ///
    /// # Errors
    /// Where that is no text.
    pub(crate) fn system(&self) -> Result<Option<Message>, String> {
        match self.get("system")? {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(Message::new("system", &text))),
            Some(_) => Err("its \"system\" is no text".to_owned()),
        }
    }
}

/// What is in each line of a .jsonl of `expected`; blank lines are passed over.
///
/// # Errors
/// For another file, and what is wrong with the first line that cannot be read, with its number.
pub(crate) fn objects<T>(
    path: &Path,
    expected: &str,
    read: impl Fn(&JsonLine) -> Result<T, String>,
) -> anyhow::Result<Vec<T>> {
    anyhow::ensure!(is_json_lines(path), "{}: expected a .jsonl of {expected}", path.display());
    let (mut lines, mut found) = (Lines::objects(path)?, Vec::new());
    while let Some(line) = lines.read()? {
        if line.trim().is_empty() {
            continue;
        }
        let object = JsonLine::parse(&line).and_then(|object| read(&object));
        found.push(object.map_err(|reason| anyhow::anyhow!("{}, line {}: {reason}", path.display(), lines.number()))?);
    }
    Ok(found)
}

/// Fields that were not read: in how many lines, and the first of them.
#[derive(Default)]
pub(crate) struct Unread(BTreeMap<String, (u64, u64)>);

/// How many names are counted.
const NAMES: usize = 12;

impl Unread {
    pub(crate) fn count(&mut self, line: u64, object: &JsonLine) {
        for name in object.unread() {
            if self.0.contains_key(&name) || self.0.len() < NAMES {
                self.0.entry(name).or_insert((0, line)).0 += 1;
            }
        }
    }

    pub(crate) fn tell(&self) {
        if self.0.is_empty() {
            return;
        }
        let of = |(name, (count, line)): (&String, &(u64, u64))| match count {
            1 => format!("{name} (line {line})"),
            _ => format!("{name} ({count} lines, the first line {line})"),
        };
        let more = if self.0.len() == NAMES { ", and perhaps others" } else { "" };
        note(format_args!("Not read: {}{more}.", self.0.iter().map(of).collect::<Vec<_>>().join(", ")));
    }
}

/// What is wrong, with the byte of what was read.
fn reason(error: &serde_json::Error, of: &str) -> String {
    let (text, column) = (error.to_string(), error.column());
    let place = format!(" at line {} column {column}", error.line());
    text.strip_suffix(&place).map_or_else(|| text.clone(), |reason| format!("{reason} (byte {column} of {of})"))
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let (mut fields, mut twice) = (BTreeMap::new(), None);
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    match fields.entry(name) {
                        Entry::Vacant(place) => {
                            place.insert(value);
                        }
                        Entry::Occupied(place) => {
                            twice.get_or_insert(place.key().clone());
                        }
                    }
                }
                Ok(Fields(twice.map_or(Ok(fields), Err)))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
