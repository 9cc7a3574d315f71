//! What is known of a JSON schema before `llguidance` reads it.

use serde_json::Value;
use std::collections::BTreeSet;

/// Keys whose values no text has to have.
const ANNOTATIONS: [&str; 5] = ["title", "description", "$comment", "default", "examples"];

/// Whether `llguidance` generates the strings of a schema as they are.
pub(crate) fn check_strings(schema: &Value) -> Result<(), String> {
    if let Some(pattern) = ambiguous_pattern(schema) {
        return Err(format!(
            "the pattern {pattern:?} has a negated class without '\"' or '\\\\', which is not supported. Write the class without ^"
        ));
    }
    match control_character(schema) {
        Some(character) => {
            Err(format!("it has the character {character:?}, which JSON writes only as \\u: that is not supported"))
        }
        None => Ok(()),
    }
}

/// A character in the schema's strings that needs an escape by its number.
fn control_character(schema: &Value) -> Option<char> {
    let of = |text: &str| text.chars().find(|c| *c < ' ' && !matches!(c, '\n' | '\r' | '\t' | '\u{8}' | '\u{C}'));
    match schema {
        Value::String(text) => of(text),
        Value::Array(items) => items.iter().find_map(control_character),
        Value::Object(keys) => keys
            .iter()
            .filter(|(key, _)| !ANNOTATIONS.contains(&key.as_str()))
            .find_map(|(key, value)| of(key).or_else(|| control_character(value))),
        _ => None,
    }
}

/// A pattern of a schema with a class of all characters but some, a quote or a backslash among these: `llguidance` writes `\"` and
/// `\\` there all the same.
fn ambiguous_pattern(schema: &Value) -> Option<String> {
    let is_ambiguous = |pattern: &str| pattern.split("[^").skip(1).any(excludes_escapes);
    match schema {
        Value::Object(keys) => keys.iter().find_map(|(key, value)| {
            let own = value.as_str().filter(|pattern| key == "pattern" && is_ambiguous(pattern));
            let names = value.as_object().filter(|_| key == "patternProperties");
            let name = names.and_then(|names| names.keys().find(|name| is_ambiguous(name)));
            own.map(str::to_owned).or(name.cloned()).or_else(|| ambiguous_pattern(value))
        }),
        Value::Array(items) => items.iter().find_map(ambiguous_pattern),
        _ => None,
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

/// Adds the characters of a schema's names and constants.
pub(crate) fn literals(schema: &Value, characters: &mut BTreeSet<char>) {
    let mut add = |value: &Value| {
        let text = value.to_string();
        characters.extend(text.chars());
    };
    match schema {
        Value::Object(keys) => {
            for (key, value) in keys {
                match (key.as_str(), value) {
                    ("const", constant) => add(constant),
                    ("enum", Value::Array(constants)) => constants.iter().for_each(&mut add),
                    ("required", Value::Array(names)) => names.iter().for_each(&mut add),
                    _ => {}
                }
            }
            keys.values().for_each(|value| literals(value, characters));
        }
        Value::Array(items) => items.iter().for_each(|item| literals(item, characters)),
        _ => {}
    }
}
