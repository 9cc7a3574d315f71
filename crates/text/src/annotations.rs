//! What examples say beside their texts: control attributes, how much they count, and which words belong together.

use crate::ControlConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// A column of a table, or a key of objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a column, by its number from 0 or by its name")]
pub enum Column {
    /// By place, from 0, in a table without a header.
    Number(usize),
    /// By the name that the header of a table has, or by the key of objects.
    Name(String),
}

impl Column {
    /// Whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Self::Name(own) if own == name)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => write!(f, "{name:?}"),
        }
    }
}

/// Where examples say something beside their texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations {
    /// Their control attributes.
    pub control: Option<ControlConfig>,
    /// The column of the weight of their loss.
    pub weight: Option<Column>,
    /// The column of the alignment of their words.
    pub alignment: Option<Column>,
}

/// What an example says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Annotated {
    /// The control tokens of its attributes.
    pub(crate) attributes: Vec<String>,
    /// The weight of its loss.
    pub(crate) weight: Option<f32>,
    /// Its alignment.
    pub(crate) alignment: Option<Links>,
}

/// Pairs of a word, or a token, of a source and one of its target, by their numbers from 0.
pub(crate) type Links = Vec<[u32; 2]>;

/// The largest weight.
const MOST: f64 = 1e6;
/// Sums of smaller ones would be imprecise in f32.
const LEAST: f64 = 1e-20;

impl Annotations {
    /// Whether a column of this name is one of theirs.
    pub(crate) fn has(&self, name: &str) -> bool {
        [&self.weight, &self.alignment].into_iter().flatten().any(|column| column.is(name))
            || self.control.as_ref().is_some_and(|control| control.attributes.contains_key(name))
    }

    /// The names of the columns that a table has to have.
    pub(crate) fn needed(&self) -> impl Iterator<Item = &String> {
        let control = self.control.iter();
        control.flat_map(|control| control.attributes.keys().filter(|name| !control.given.contains_key(*name)))
    }

    /// The numbers of the same.
    pub(crate) fn needed_numbers(&self) -> impl Iterator<Item = usize> {
        let control = self.control.iter();
        control.flat_map(|control| {
            control.columns.iter().filter(|(name, _)| !control.given.contains_key(*name)).map(|(_, column)| *column)
        })
    }

    /// Whether the column of this number is one of theirs.
    pub(crate) fn has_number(&self, number: usize) -> bool {
        [&self.weight, &self.alignment].into_iter().flatten().any(|column| *column == Column::Number(number))
            || self.control.as_ref().is_some_and(|control| control.columns.values().any(|column| *column == number))
    }

    /// What an example says by the values of names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(&self, value: impl Fn(&str) -> Result<Option<Value>, String>) -> Result<Annotated, String> {
        let attributes = self.control.as_ref().map(|control| {
            control.read(|name| match value(name)? {
                None => Ok(control.given.get(name).cloned()),
                Some(Value::Null) => Ok(None),
                Some(value) => crate::chat::text(Some(&value), &format!("{name:?}")).map(Some),
            })
        });
        let weight = match &self.weight {
            Some(Column::Name(name)) => value(name)?.map_or(Ok(None), |value| weight(&value, name))?,
            _ => None,
        };
        let alignment = match &self.alignment {
            Some(Column::Name(name)) => value(name)?.map_or(Ok(None), |value| alignment(&value))?,
            _ => None,
        };
        Ok(Annotated { attributes: attributes.transpose()?.unwrap_or_default(), weight, alignment })
    }

    /// What a row of a table without a header says, by its columns.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read_row<'a>(&self, get: impl Fn(usize) -> Option<&'a str>) -> Result<Annotated, String> {
        let attributes = self.control.as_ref().map(|control| {
            control.read(|name| match control.columns.get(name).and_then(|column| get(*column)) {
                Some(value) => Ok(Some(value.to_owned()).filter(|value| !value.is_empty())),
                None => Ok(control.given.get(name).cloned()),
            })
        });
        let weight = match &self.weight {
            Some(Column::Number(number)) => get(*number).map_or(Ok(None), |text| weight(&text.into(), number))?,
            _ => None,
        };
        let alignment = match &self.alignment {
            Some(Column::Number(number)) => get(*number).map_or(Ok(None), |text| alignment(&text.into()))?,
            _ => None,
        };
        Ok(Annotated { attributes: attributes.transpose()?.unwrap_or_default(), weight, alignment })
    }

    /// What a text says that has no place for it.
    ///
    /// # Errors
    /// An attribute that is given and that there is not.
    pub(crate) fn of_all(&self) -> Result<Annotated, String> {
        let attributes = self.control.as_ref().map(ControlConfig::of_all).transpose()?;
        Ok(Annotated { attributes: attributes.unwrap_or_default(), ..Annotated::default() })
    }
}

/// The weight that a value is; none where it is null or empty.
fn weight(value: &Value, column: &dyn fmt::Debug) -> Result<Option<f32>, String> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    };
    match number.filter(|&number| number == 0.0 || (LEAST..=MOST).contains(&number)) {
        Some(number) => Ok(Some(number as f32)),
        None => Err(format!(
            "its weight ({column:?}) is {value}: expected 0, or a number from 1e-20 to 1000000{}",
            match value {
                Value::String(_) => ". If it is the header of a table, data.columns has to name columns of it",
                _ => "",
            }
        )),
    }
}

/// The links that a value is, in Pharaoh's form; none where it is null or empty.
fn alignment(value: &Value) -> Result<Option<Links>, String> {
    let wrong = |shown: &str| {
        Err(format!(
            "its alignment has {shown:?}: expected pairs of a word of the source and one of the target, such as \"0-0 1-2\""
        ))
    };
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        other => return wrong(&other.to_string()),
    };
    let link = |text: &str| {
        let (source, target) = text.split_once('-')?;
        Some([source.parse().ok()?, target.parse().ok()?])
    };
    let mut links = Links::new();
    for part in text.split_whitespace() {
        match link(part) {
            Some(link) => links.push(link),
            None => return wrong(&part.chars().take(SHOWN).collect::<String>()),
        }
    }
    // Once each: every word may be of many tokens.
    links.sort_unstable();
    links.dedup();
    Ok((!links.is_empty()).then_some(links))
}

/// Characters that a message shows.
const SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn alignments_are_pairs_of_numbers() {
        assert_eq!(alignment(&json!("0-0 1-2\t12-3 ")), Ok(Some(vec![[0, 0], [1, 2], [12, 3]])));
        assert_eq!([json!(""), json!(" "), json!(null)].map(|value| alignment(&value)), [Ok(None), Ok(None), Ok(None)]);
        for wrong in [json!("0-0 1"), json!("0:1"), json!("-1-2"), json!("1-99999999999"), json!("a-b"), json!(3)] {
            let error = alignment(&wrong).unwrap_err();
            assert!(error.contains("its alignment has") && error.contains("0-0 1-2"), "{wrong}: {error}");
        }
    }

    #[test]
    fn weights_are_numbers_from_0() {
        let of = |value: Value| weight(&value, &"w");
        for (value, expected) in [
            (json!(0.5), Some(0.5)),
            (json!("2"), Some(2.0)),
            (json!(0), Some(0.0)),
            (json!(""), None),
            (json!(null), None),
        ] {
            assert_eq!(of(value.clone()), Ok(expected), "{value}");
        }
        for value in
            [json!(-1), json!("much"), json!("NaN"), json!("inf"), json!(1e9), json!(1e-39), json!(true), json!([1])]
        {
            let error = of(value.clone()).unwrap_err();
            assert!(error.contains("(\"w\")") && error.contains("expected 0, or"), "{value}: {error}");
        }
    }
}
