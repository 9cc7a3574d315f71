//! Control attributes: what examples say beside their texts, such as the register of a translation. Each value is a control token,
//! which stands before the source, or before the prompt or the text of a language model.

use crate::object_keys::KEYS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The table `[control]` of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlConfig {
    /// The share of the examples in which an attribute is left out, each by itself, so that the model also learns to do without.
    #[serde(default = "tenth")]
    pub dropout: f64,
    /// In a tab-separated file, the column of each attribute, from 0; in JSON, attributes are fields of their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, usize>,
    /// Values of all texts that have no place for an attribute: neither a column, nor its field. No key of a recipe.
    #[serde(skip)]
    pub given: BTreeMap<String, String>,
    /// The attributes, each with its values.
    #[serde(flatten)]
    pub attributes: BTreeMap<String, Vec<String>>,
}

fn tenth() -> f64 {
    0.1
}

/// Keys of objects, beside those of examples, that are something else, so that no attribute has these names.
const OTHERS: [&str; 2] = ["id", "control"];

impl ControlConfig {
    /// The control token of a value.
    fn token(attribute: &str, value: &str) -> String {
        format!("<{attribute}={value}>")
    }

    /// The control tokens of all values.
    pub fn tokens(&self) -> Vec<String> {
        let values = |(attribute, values): (&String, &Vec<String>)| {
            values.iter().map(|value| Self::token(attribute, value)).collect::<Vec<_>>()
        };
        self.attributes.iter().flat_map(values).collect()
    }

    /// That every attribute has values, each once, and a name that nothing else has.
    ///
    /// # Errors
    /// The key, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        if self.attributes.is_empty() {
            return Err(
                "[control] has no attribute: add one with its values, such as register = [\"formal\", \"informal\"]"
                    .to_owned(),
            );
        }
        for (name, values) in &self.attributes {
            let is_word = |word: &str| !word.is_empty() && word.trim() == word && !word.contains(char::is_control);
            if KEYS.iter().chain(&OTHERS).any(|key| key == name) {
                return Err(format!("control.{name}: this is a field of texts. Give the attribute another name"));
            }
            if !is_word(name) || name.contains('=') {
                return Err(format!("control.{name:?}: expected a name without = and without spaces around it"));
            }
            if values.is_empty() {
                return Err(format!("control.{name} = []: expected its values, such as [\"formal\", \"informal\"]"));
            }
            for (i, value) in values.iter().enumerate() {
                if !is_word(value) || values[..i].contains(value) {
                    return Err(format!(
                        "control.{name} = [… {value:?} …]: expected values without spaces around them, each once"
                    ));
                }
            }
        }
        match self.columns.keys().find(|name| !self.attributes.contains_key(*name)) {
            Some(name) => Err(format!("control.columns.{name}: {}", self.unknown(name))),
            None => Ok(()),
        }
    }

    /// The control tokens of some values, in the order of the attributes' names.
    ///
    /// # Errors
    /// An attribute or a value that there is not, with those that there are.
    pub fn select(&self, values: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
        if let Some(name) = values.keys().find(|name| !self.attributes.contains_key(*name)) {
            return Err(self.unknown(name));
        }
        values.iter().map(|(name, value)| self.token_of(name, value)).collect()
    }

    /// The control tokens of a text that has no place for attributes.
    pub(crate) fn of_all(&self) -> Result<Vec<String>, String> {
        self.read(|name| Ok(self.given.get(name).cloned()))
    }

    /// The control tokens that `value` says for each attribute.
    pub(crate) fn read(&self, value: impl Fn(&str) -> Result<Option<String>, String>) -> Result<Vec<String>, String> {
        let token = |name: &String| value(name)?.map(|value| self.token_of(name, &value)).transpose();
        self.attributes.keys().filter_map(|name| token(name).transpose()).collect()
    }

    fn token_of(&self, name: &str, value: &str) -> Result<String, String> {
        let known = self.attributes.get(name).map_or(&[][..], Vec::as_slice);
        match known.iter().any(|known| known == value) {
            true => Ok(Self::token(name, value)),
            false => Err(format!("{name:?} is {value:?}: expected {}", one_of(known))),
        }
    }

    fn unknown(&self, name: &str) -> String {
        let each = self.attributes.iter().map(|(name, values)| format!("{name:?} ({})", one_of(values)));
        format!("there is no attribute {name:?}; there is {}", each.collect::<Vec<_>>().join(", "))
    }
}

fn one_of(values: &[String]) -> String {
    values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(table: &str) -> ControlConfig {
        serde_json::from_str(table).unwrap()
    }

    #[test]
    fn attributes_are_selected_in_one_order_and_what_is_unknown_is_named() {
        let control = parse(r#"{"register": ["formal", "informal"], "age": ["young"], "columns": {"age": 2}}"#);
        assert_eq!((control.validate(), control.dropout), (Ok(()), 0.1));
        assert_eq!(control.tokens(), ["<age=young>", "<register=formal>", "<register=informal>"]);
        let select = |values: &[(&str, &str)]| {
            control.select(&values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        assert_eq!(
            select(&[("register", "informal"), ("age", "young")]).unwrap(),
            ["<age=young>", "<register=informal>"]
        );
        assert!(select(&[]).unwrap().is_empty());
        let error = select(&[("registr", "formal")]).unwrap_err();
        assert!(
            error.contains("\"registr\"") && error.contains("\"register\" (\"formal\" or \"informal\")"),
            "{error}"
        );
        let error = select(&[("register", "Formal")]).unwrap_err();
        assert_eq!(error, "\"register\" is \"Formal\": expected \"formal\" or \"informal\"");
    }

    #[test]
    fn attributes_that_cannot_be_are_named() {
        for (table, part) in [
            ("{}", "no attribute"),
            (r#"{"text": ["a"]}"#, "control.text"),
            (r#"{"rejected": ["a"]}"#, "control.rejected"),
            (r#"{"id": ["a"]}"#, "control.id"),
            (r#"{"a=b": ["a"]}"#, "without ="),
            (r#"{"a": []}"#, "control.a = []"),
            (r#"{"a": ["b", "b"]}"#, "\"b\""),
            (r#"{"a": [" b"]}"#, "\" b\""),
            (r#"{"a": ["b"], "columns": {"c": 1}}"#, "control.columns.c"),
        ] {
            let error = parse(table).validate().unwrap_err();
            assert!(error.contains(part), "{table}: {error}");
        }
    }
}
