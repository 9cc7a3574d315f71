use descant_text::{Message, UniqueKeys};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

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
        fields.map(|fields| Self { fields }).map_err(|name| format!("it has the field {name:?} twice"))
    }

    /// As it stands there, whatever it is, so that numbers of any size come back as they are.
    pub(crate) fn id(&self) -> Option<Box<RawValue>> {
        self.fields.get("id").cloned()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
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
        let Some(raw) = self.fields.get(name) else { return Ok(None) };
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

    /// The conversation of its `messages`.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn messages(&self) -> Result<Vec<Message>, String> {
        let value = self.get("messages")?.unwrap_or_default();
        let messages: Vec<Message> =
            serde_json::from_value(value).map_err(|error| format!("its \"messages\": {error}"))?;
        if messages.is_empty() { Err("its \"messages\" are empty".to_owned()) } else { Ok(messages) }
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
