//! JSON schemas: what is refused before `llguidance` reads them, and the form in which it passes over nothing.

mod fault;
mod formats;
mod keywords;
mod numbers;
mod patterns;
mod places;
mod references;
mod values;

use crate::ConstraintError;
use descant_text::UniqueKeys;
use formats::Format;
use keywords::{Draft, Keyword, Kind, constrains_nothing, kind};
use numbers::{check_multiples, check_numbers};
use patterns::check_patterns;
use places::Places;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use values::check_values;

/// The keywords that `llguidance` compiles by themselves, and apart from each other what stands before, between and after them.
const APART: [&str; 6] = ["$ref", "allOf", "anyOf", "const", "enum", "oneOf"];

/// How many values may stand within each other: the limit of the reader of JSON.
const DEEPEST: usize = 127;

/// A schema that is checked, in the form in which `llguidance` reads it.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) schema: Value,
    /// The characters of its constants, and of the names that it requires.
    pub(crate) characters: BTreeSet<char>,
    /// What has no effect: a format of one's own, and what a `lenient` in its `x-guidance` passes over.
    pub(crate) passed: Vec<String>,
    /// The same schema before its patterns were translated, and those of its formats added.
    before_translation: Value,
    /// Pointers to copies of schemas that a `$ref` leads to, each with that of the schema as it was given.
    copies: Vec<(String, String)>,
    /// How many of its values lead into each other at most.
    pub(crate) depth: usize,
}

impl Checked {
    /// The schema of a text, which is all of a grammar.
    ///
    /// # Errors
    /// Where it is no JSON, or a key stands twice in an object; where a keyword would be passed over: one that is unknown, not supported,
    /// not of its draft, or without effect where it stands; and for what is generated otherwise than it says.
    pub(crate) fn parse(text: &str) -> Result<Self, ConstraintError> {
        let no_json = |error: serde_json::Error| match error.to_string() {
            _ if text.trim().is_empty() => {
                ConstraintError::schema("it is empty. One that allows all is true, or {}".to_owned())
            }
            reason if error.is_data() => ConstraintError::schema(reason),
            reason if reason.contains("recursion limit") => ConstraintError::schema(format!(
                "more than {DEEPEST} values stand within each other, which is not supported ({reason})"
            )),
            reason => ConstraintError::schema(format!("it is no JSON: {reason}")),
        };
        let schema = match serde_json::from_str(text).map_err(no_json)? {
            UniqueKeys(Value::Bool(true)) => json!({}),
            UniqueKeys(schema @ (Value::Bool(false) | Value::Object(_))) => schema,
            _ => return Err(ConstraintError::schema("a schema is an object, true or false".to_owned())),
        };
        // Without \u, which would be a second way to write a name that is taken.
        let mut checked = Self::new(schema, check_characters)?;
        if let Some(keys) = checked.schema.as_object_mut() {
            let options = || json!({"whitespace_pattern": " ", "json_allowed_escapes": "nrbtf\\\""});
            keys.entry("x-guidance").or_insert_with(options);
        }
        Ok(checked)
    }

    /// A schema that is a part of a grammar in the syntax of Lark. Its texts may have \u.
    ///
    /// # Errors
    /// As [`Checked::parse`].
    pub(crate) fn part(schema: Value) -> Result<Self, ConstraintError> {
        Self::new(schema, |_| Ok(()))
    }

    fn new(
        mut schema: Value,
        check_further: impl Fn(&Map<String, Value>) -> Result<(), ConstraintError>,
    ) -> Result<Self, ConstraintError> {
        let is_lenient = schema.pointer("/x-guidance/lenient") == Some(&Value::Bool(true));
        let (draft, places) = (Draft::of(&schema), Places::of(&schema)?);
        let (mut characters, mut passed, mut forms) = (BTreeSet::new(), Vec::new(), Vec::new());
        for (number, keywords) in places.iter() {
            let (at, mut without) = (places.pointer(number), BTreeSet::new());
            for (keyword, value) in keywords {
                let is_container = places.is_passed(keywords, keyword);
                if constrains_nothing(keyword, value, keywords) && !is_container {
                    without.insert(keyword.clone());
                } else if let Some(error) = objection(keyword, &at, draft, is_container) {
                    if !is_lenient || is_container {
                        return Err(error);
                    }
                    without.insert(keyword.clone());
                    passed.push(format!("{at}/{keyword} has no effect: \"lenient\" passes over it"));
                }
            }
            let mut format = None;
            match Format::of(keywords) {
                Some(Format::Made(made)) => format = Some(made),
                Some(Format::Unsupported) if !is_lenient => {
                    let why = "this one is not supported. Leave it out, or write a \"pattern\"";
                    return Err(ConstraintError::keyword(&at, "format", why));
                }
                Some(without_effect) => {
                    without.insert("format".to_owned());
                    passed.extend(without_effect.told().map(|why| format!("{at}/format has no effect: {why}")));
                }
                None => {}
            }
            check_values(keywords, &without).map_err(|(keyword, why)| ConstraintError::keyword(&at, keyword, &why))?;
            check_patterns(keywords).map_err(|(keyword, why)| ConstraintError::keyword(&at, keyword, &why))?;
            check_numbers(keywords).map_err(|(keyword, why)| ConstraintError::keyword(&at, keyword, &why))?;
            check_further(keywords)?;
            literals(keywords, &mut characters);
            forms.push((at, without, format));
        }
        check_multiples(&places)
            .map_err(|(number, why)| ConstraintError::keyword(&places.pointer(number), "multipleOf", &why))?;
        let (references, depth) = (places.references(), places.depth());
        for (at, without, format) in forms {
            if let Some(Value::Object(keywords)) = schema.pointer_mut(&at) {
                keywords.retain(|keyword, _| !without.contains(keyword));
                keywords.extend(format.map(|format| ("format".to_owned(), format.into())));
                *keywords = gathered(std::mem::take(keywords));
            }
        }
        let copies = references::rewrite(&mut schema, references);
        let before_translation = schema.clone();
        patterns::translate(&mut schema)?;
        Ok(Self { schema, characters, passed, before_translation, copies, depth })
    }

    /// The JSON pointer to the schema for which `llguidance` fails, in the schema as it was given: the smallest that fails in the same way
    /// where all that stands in it allows anything.
    pub(crate) fn place_of_fault(&self, fails: impl Fn(&Value) -> bool) -> String {
        let at = places::counterpart(&self.schema, &fault::place(&self.schema, fails), &self.before_translation);
        let original = self.copies.iter().find_map(|(copy, of)| {
            let rest = at.strip_prefix(copy.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
            Some(format!("{of}{rest}"))
        });
        original.unwrap_or(at)
    }
}

/// What is wrong with a keyword whatever stands beside it; one that holds what a `$ref` leads to may have any name.
fn objection(keyword: &str, at: &str, draft: Draft, is_container: bool) -> Option<ConstraintError> {
    match Keyword::named(keyword) {
        Keyword::Unknown(_) if is_container => None,
        Keyword::Unknown(nearest) => {
            Some(ConstraintError::UnknownKeyword { at: at.to_owned(), keyword: keyword.to_owned(), nearest })
        }
        Keyword::Known(Kind::Unsupported, _) => Some(ConstraintError::keyword(at, keyword, "this is not supported")),
        Keyword::Known(_, since) if since > draft => {
            let why = "the draft that \"$schema\" names has not got it: leave out \"$schema\", or name a later draft";
            Some(ConstraintError::keyword(at, keyword, why))
        }
        Keyword::Known(..) => None,
    }
}

/// A schema's keywords with all that are compiled together in one place: `{"minimum": 5, "$ref": …, "exclusiveMinimum": true}` would
/// allow 5. It is that of the first of them that has schemas, so that properties come in the same order.
fn gathered(keywords: Map<String, Value>) -> Map<String, Value> {
    let is_apart = |keyword: &str| APART.contains(&keyword);
    let has_schemas =
        |keyword: &String| !is_apart(keyword) && matches!(kind(keyword), Some(Kind::Schemas | Kind::NamedSchemas));
    let place = keywords.keys().position(has_schemas).unwrap_or_default();
    let mut all: Vec<(usize, (String, Value))> = keywords.into_iter().enumerate().collect();
    all.sort_by_key(|(i, (keyword, _))| match is_apart(keyword) {
        true if *i < place => 0,
        true => 2,
        false => 1,
    });
    all.into_iter().map(|(_, one)| one).collect()
}

/// That none of a schema's strings needs an escape by the number of a character.
fn check_characters(keywords: &Map<String, Value>) -> Result<(), ConstraintError> {
    let of = |text: &str| text.chars().find(|c| *c < ' ' && !matches!(c, '\n' | '\r' | '\t' | '\u{8}' | '\u{C}'));
    let named = ["patternProperties", "properties"].into_iter().flat_map(|keyword| names(keywords, keyword));
    let values = ["const", "enum", "pattern", "required"].into_iter().filter_map(|keyword| keywords.get(keyword));
    match named.filter_map(of).next().or_else(|| values.flat_map(texts).find_map(of)) {
        Some(character) => Err(ConstraintError::schema(format!(
            "it has the character {character:?}, which JSON writes only as \\u: that is not supported"
        ))),
        None => Ok(()),
    }
}

/// The names for which a keyword has schemas.
fn names<'a>(keywords: &'a Map<String, Value>, keyword: &str) -> impl Iterator<Item = &'a str> {
    keywords.get(keyword).and_then(Value::as_object).into_iter().flat_map(Map::keys).map(String::as_str)
}

/// All texts in a value, names among them.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => {
            fields.iter().flat_map(|(name, value)| std::iter::once(name.as_str()).chain(texts(value))).collect()
        }
        _ => Vec::new(),
    }
}

/// Adds the characters of a schema's constants, and of the names that it requires.
fn literals(keywords: &Map<String, Value>, characters: &mut BTreeSet<char>) {
    let lists = ["enum", "required"].into_iter().filter_map(|keyword| keywords.get(keyword)?.as_array());
    let values = lists.flatten().chain(keywords.get("const"));
    values.for_each(|value| characters.extend(value.to_string().chars()));
}
