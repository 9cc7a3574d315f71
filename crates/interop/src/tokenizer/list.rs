//! Tokenizers that are a list of tokens, one a line, in the order of their ids.

use crate::Error;
use crate::folder::read_if;
use descant_text::SpecialTokens;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;

/// The tokens of a list.
///
/// # Errors
/// Where it is not UTF-8, empty, or has a token twice.
pub(crate) fn read(path: &Path) -> Result<Vec<String>, Error> {
    let wrong = |reason: String| Error::folder(path, reason);
    let text = String::from_utf8(read_if(path)?.unwrap_or_default());
    let text = text.map_err(|error| wrong(format!("it is not UTF-8: {error}")))?;
    let mut lines: HashMap<&str, usize> = HashMap::new();
    let mut tokens = Vec::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        if line.is_empty() {
            return Err(wrong(format!("line {number} is empty. A list has one token a line")));
        }
        if let Some(first) = lines.insert(line, number) {
            return Err(wrong(format!("line {number} has {line:?}, as line {first} does")));
        }
        tokens.push(line.to_owned());
    }
    match tokens.is_empty() {
        true => Err(wrong("it is empty".to_owned())),
        false => Ok(tokens),
    }
}

/// The `tokenizer.json` of words, which white space parts.
pub(crate) fn words(tokens: &[String]) -> Value {
    let model = json!({"type": "WordLevel", "vocab": numbered(tokens), "unk_token": "<unk>"});
    file(model, json!({"type": "WhitespaceSplit"}), Value::Null)
}

/// The `tokenizer.json` of characters.
pub(crate) fn characters(tokens: &[String]) -> Value {
    let model = json!({"type": "BPE", "vocab": numbered(tokens), "merges": []});
    file(model, Value::Null, json!({"type": "Fuse"}))
}

fn numbered(tokens: &[String]) -> Map<String, Value> {
    tokens.iter().cloned().zip((0..).map(|id: u32| id.into())).collect()
}

fn file(model: Value, pre_tokenizer: Value, decoder: Value) -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": decoder, "model": model,
    })
}

/// The special ids that a table names, by id or by token. Where the tokenizer is a list, they become its control tokens.
///
/// # Errors
/// A token that is not there, or a key that is not known.
pub(crate) fn special(mut special: Value, json: &mut Value, is_list: bool) -> Result<SpecialTokens, String> {
    let id = |token: &str| {
        let added =
            json["added_tokens"].as_array().and_then(|added| added.iter().find(|added| added["content"] == token));
        let added = added.map(|added| added["id"].clone());
        added
            .or_else(|| json["model"]["vocab"].get(token).cloned())
            .ok_or_else(|| format!("there is no token {token:?}"))
    };
    let mut parts = vec![&mut special];
    while let Some(part) = parts.pop() {
        match part {
            Value::String(token) => *part = id(token)?,
            Value::Array(list) => parts.extend(list),
            Value::Object(table) => parts.extend(table.values_mut()),
            _ => {}
        }
    }
    let special: SpecialTokens = serde_json::from_value(special).map_err(|error| error.to_string())?;
    if is_list {
        let tokens = json["model"]["vocab"].as_object().cloned().unwrap_or_default();
        let name = |id: u32| tokens.iter().find(|(_, value)| **value == id).map(|(token, _)| token.clone());
        if let Some(unknown) = special.unknown.and_then(name) {
            json["model"]["unk_token"] = unknown.into();
        }
        let mut ids: Vec<u32> = special.ids().collect();
        ids.sort_unstable();
        ids.dedup();
        let added = |id: u32| {
            Some(json!({
                "id": id, "content": name(id)?, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": true,
            }))
        };
        json["added_tokens"] = ids.into_iter().filter_map(added).collect();
    }
    Ok(special)
}
