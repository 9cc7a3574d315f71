//! What is known of a JSON schema before `llguidance` reads it.

mod keywords;
mod places;

use crate::ConstraintError;
use descant_text::UniqueKeys;
use keywords::{Keyword, NAMED_SCHEMAS};
use places::Places;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const WHAT: &str = "the JSON schema";
/// Drafts that do not have `prefixItems`: `llguidance` passes over it there, as it does over every keyword that it does not know.
const OLD_DRAFTS: [&str; 4] = [
    "http://json-schema.org/draft-04/schema",
    "http://json-schema.org/draft-06/schema",
    "http://json-schema.org/draft-07/schema",
    "https://json-schema.org/draft/2019-09/schema",
];

/// Reads a schema: JSON in whose objects no key stands twice.
pub(crate) fn parse(text: &str) -> Result<Value, ConstraintError> {
    let wrong = |error: serde_json::Error| {
        wrong(if error.is_data() { error.to_string() } else { format!("it is no JSON: {error}") })
    };
    serde_json::from_str(text).map(|UniqueKeys(schema)| schema).map_err(wrong)
}

fn wrong(reason: String) -> ConstraintError {
    ConstraintError::Grammar { what: WHAT, reason }
}

/// That none of a schema's keywords would be passed over.
///
/// # Errors
/// One that is unknown, not supported, or without effect where it stands, with its place.
pub(crate) fn check_keywords(schema: &Value) -> Result<(), ConstraintError> {
    let is_lenient = schema.pointer("/x-guidance/lenient") == Some(&Value::Bool(true));
    let draft = schema.get("$schema").and_then(Value::as_str).unwrap_or_default().trim_end_matches('#');
    let places = Places::of(schema);
    for (number, keywords) in places.iter() {
        let refused = |keyword: &str, why: &str| Err(wrong(format!("{}/{keyword}: {why}", places.pointer(number))));
        for keyword in keywords.keys() {
            match Keyword::named(keyword) {
                Keyword::Unknown(nearest) if !places.is_passed(keywords, keyword) => {
                    let (at, keyword) = (places.pointer(number), keyword.clone());
                    return Err(ConstraintError::UnknownKeyword { at, keyword, nearest });
                }
                Keyword::Unsupported if !is_lenient => return refused(keyword, "this is not supported"),
                _ => {}
            }
        }
        if keywords.get("required").is_some_and(|required| !required.is_array()) {
            return refused("required", "expected the list of the names that an object has to have");
        }
        if keywords.contains_key("prefixItems") {
            let is_list = keywords.get("items").is_some_and(Value::is_array);
            if is_list || keywords.contains_key("additionalItems") {
                let why = "beside it, \"items\" is the schema of all further items, and \"additionalItems\" is none: they are of older drafts";
                return refused("prefixItems", why);
            }
            if OLD_DRAFTS.contains(&draft) {
                return refused(
                    "prefixItems",
                    "the draft that \"$schema\" names has not got it: leave out \"$schema\", or give \"items\" a list",
                );
            }
        }
    }
    Ok(())
}

/// That no pattern of a schema has a class of all characters but some, a quote or a backslash among these: `llguidance` writes `\"` and
/// `\\` there all the same.
pub(crate) fn check_patterns(schema: &Value) -> Result<(), ConstraintError> {
    let is_ambiguous = |pattern: &&str| pattern.split("[^").skip(1).any(excludes_escapes);
    let places = Places::of(schema);
    for (number, keywords) in places.iter() {
        let own = keywords.get("pattern").and_then(Value::as_str);
        if let Some(pattern) = own.into_iter().chain(names(keywords, "patternProperties")).find(is_ambiguous) {
            return Err(wrong(format!(
                "{}: the pattern {pattern:?} has a negated class without '\"' or '\\\\', which is not supported. Write the class \
                 without ^",
                places.pointer(number)
            )));
        }
    }
    Ok(())
}

/// That none of a schema's strings needs an escape by the number of a character.
pub(crate) fn check_characters(schema: &Value) -> Result<(), ConstraintError> {
    let of = |text: &str| text.chars().find(|c| *c < ' ' && !matches!(c, '\n' | '\r' | '\t' | '\u{8}' | '\u{C}'));
    let places = Places::of(schema);
    for (_, keywords) in places.iter() {
        let named = NAMED_SCHEMAS.into_iter().flat_map(|keyword| names(keywords, keyword));
        let values = ["const", "enum", "pattern", "required"].into_iter().filter_map(|keyword| keywords.get(keyword));
        if let Some(character) = named.filter_map(of).next().or_else(|| values.flat_map(texts).find_map(of)) {
            return Err(wrong(format!(
                "it has the character {character:?}, which JSON writes only as \\u: that is not supported"
            )));
        }
    }
    Ok(())
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

/// Whether what a negated class excludes, as it is written after `[^`, may have a quote or a backslash in it.
fn excludes_escapes(class: &str) -> bool {
    let class: Vec<char> = class.chars().collect();
    let end = (1..class.len()).find(|&i| class[i] == ']' && class[i - 1] != '\\').unwrap_or(class.len());
    let class = &class[..end];
    let in_range = |range: &[char]| range[1] == '-' && ['"', '\\'].iter().any(|c| (range[0]..=range[2]).contains(c));
    let escapes =
        |pair: &[char]| pair[0] == '\\' && !matches!(pair[1], 's' | 'd' | 'w' | 'n' | 'r' | 't' | '-' | ']' | '.');
    class.contains(&'"') || class.contains(&'[') || class.windows(3).any(in_range) || class.windows(2).any(escapes)
}

/// Adds the characters of a schema's constants, and of the names that it requires.
pub(crate) fn literals(schema: &Value, characters: &mut BTreeSet<char>) {
    for (_, keywords) in Places::of(schema).iter() {
        let lists = ["enum", "required"].into_iter().filter_map(|keyword| keywords.get(keyword)?.as_array());
        let values = lists.flatten().chain(keywords.get("const"));
        values.for_each(|value| characters.extend(value.to_string().chars()));
    }
}
