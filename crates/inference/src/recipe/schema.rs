//! The keys as a JSON schema, by which editors complete and check recipes.

use super::keys::{ANY, Key, SECTIONS, Section, ValueType, section};
use descant_hyperparameters::ClippingConfig;
use serde_json::{Map, Value, json};

/// The JSON schema (draft 7) of recipes.
pub fn schema() -> Value {
    let mut root = table(&SECTIONS[0]);
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    root["title"] = json!("A recipe of descant");
    if let Some(tokenizer) = section("tokenizer") {
        let mut target = table(tokenizer);
        target["description"] = json!("The target's own tokenizer, where it is not the source's.");
        root["properties"]["target_tokenizer"] = target;
    }
    root
}

/// A section with those inside it.
fn table(section: &Section) -> Value {
    let keys = section.keys.iter().map(|key| (key.parts().1.to_owned(), value(key)));
    let inner = SECTIONS.iter().filter_map(|inner| {
        let (outer, name) = inner.name.rsplit_once('.').unwrap_or(("", inner.name));
        (outer == section.name && !name.is_empty()).then(|| (name.to_owned(), table(inner)))
    });
    let mut properties: Map<String, Value> = keys.chain(inner).collect();
    // A key of any name.
    let others = properties.remove(ANY).unwrap_or(json!(false));
    let mut schema = json!({
        "type": "object",
        "description": section.help,
        "properties": properties,
        "additionalProperties": others,
    });
    let required: Vec<&str> =
        section.keys.iter().filter(|key| key.is_always_required()).map(|key| key.parts().1).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// The value of a key.
fn value(key: &Key) -> Value {
    let mut schema = value_type(key.value);
    let conditions = key.conditions().map_or_else(String::new, |conditions| format!(" {conditions}"));
    // What the schema itself cannot say.
    let relation = if key.relation.is_empty() { String::new() } else { format!(" Expected {}.", key.words()) };
    schema["description"] = json!(format!("{}{relation}{conditions}", key.help));
    if let Some(default) = key.default_value() {
        schema["default"] = json!(default);
    }
    schema
}

fn value_type(of: ValueType) -> Value {
    let list = |items: Value| json!({"type": "array", "items": items});
    let pair = |items: Value| json!({"type": "array", "items": items, "minItems": 2, "maxItems": 2});
    let text = || json!({"type": "string"});
    let index = || json!({"type": "integer", "minimum": 0});
    match of {
        ValueType::Integer(range) => range.json_schema("integer"),
        ValueType::Number(range) => range.json_schema("number"),
        ValueType::Flag => json!({"type": "boolean"}),
        ValueType::Text => text(),
        ValueType::Choice(words) => json!({"type": "string", "enum": words}),
        ValueType::Files => {
            let names = json!({"type": "array", "items": text(), "minItems": 1});
            json!({"anyOf": [text(), pair(text()), {"type": "array", "items": names, "minItems": 1, "maxItems": 2}]})
        }
        ValueType::Columns => {
            let columns = |items: Value| json!({"type": "array", "items": items, "minItems": 1, "maxItems": 3});
            json!({"anyOf": [columns(index()), columns(text())]})
        }
        ValueType::Column => json!({"anyOf": [index(), text()]}),
        ValueType::TextList => list(text()),
        ValueType::ChoiceList(words) => list(value_type(ValueType::Choice(words))),
        ValueType::TokenIds => json!({"anyOf": [index(), list(index())]}),
        ValueType::NumberPair(range) => pair(range.json_schema("number")),
        ValueType::IntegerList => list(index()),
        ValueType::NumberList(range) => list(range.json_schema("number")),
        ValueType::NumberTable(range) => json!({"type": "object", "additionalProperties": range.json_schema("number")}),
        ValueType::IntegerTable => json!({"type": "object", "additionalProperties": index()}),
        ValueType::Clip(range) => {
            let limit = || range.json_schema("number");
            let by = |name: &str| json!({"type": "object", "properties": {name: limit()}, "required": [name], "additionalProperties": false});
            let kinds = ClippingConfig::KINDS.iter().map(|(name, _)| by(name));
            let all: Vec<Value> = kinds.chain([json!({"type": "string", "enum": ["none"]})]).collect();
            json!({"anyOf": all})
        }
        ValueType::Decoding(of) => of.json_schema(),
    }
}
