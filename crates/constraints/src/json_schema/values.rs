//! The forms that the values of keywords have.

use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashSet};

/// The types of JSON values.
const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

/// That no value of a schema's keywords, but for those without effect, has a form that the specification does not give it, or in which it
/// would be passed over; or the keyword, and what is wrong.
pub(super) fn check_values<'k>(
    keywords: &'k Map<String, Value>,
    without: &BTreeSet<String>,
) -> Result<(), (&'k str, String)> {
    for (keyword, value) in keywords.iter().filter(|(keyword, _)| !without.contains(*keyword)) {
        if let Some(expected) = expected(keyword, value) {
            return Err((keyword, format!("expected {expected}")));
        }
    }
    let has = |keyword: &str| keywords.contains_key(keyword) && !without.contains(keyword);
    if has("prefixItems") && (keywords.get("items").is_some_and(Value::is_array) || has("additionalItems")) {
        let why = "beside it, \"items\" is the schema of all further items, and \"additionalItems\" is none: they are of older drafts";
        return Err(("prefixItems", why.to_owned()));
    }
    check_count(keywords)
}

/// What is expected of a keyword in place of its value.
fn expected(keyword: &str, value: &Value) -> Option<&'static str> {
    let is_type = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    let all = |is: fn(&Value) -> bool| value.as_array().is_some_and(|all| all.iter().all(is));
    let (is, expected) = match keyword {
        "$ref" | "format" | "pattern" => (value.is_string(), "a text"),
        "type" => (
            is_type(value) || value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(is_type)),
            "one of \"null\", \"boolean\", \"integer\", \"number\", \"string\", \"array\" and \"object\", or a list of these",
        ),
        "enum" => (all(|_| true), "a list of values"),
        "required" => (all(Value::is_string), "the list of the names that an object has to have"),
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => (all(is_schema), "a list of schemas"),
        "items" => (is_schema(value) || all(is_schema), "a schema"),
        "additionalItems" | "additionalProperties" => (is_schema(value), "a schema"),
        "patternProperties" | "properties" => (
            value.as_object().is_some_and(|named| named.values().all(is_schema)),
            "an object that has a schema for each name",
        ),
        "maxItems" | "maxLength" | "maxProperties" | "minItems" | "minLength" | "minProperties" => (
            value.as_u64().is_some_and(|count| u32::try_from(count).is_ok()),
            "a whole number from 0 to 4294967295, without a point",
        ),
        "maximum" | "minimum" => (value.is_number(), "a number"),
        "exclusiveMaximum" | "exclusiveMinimum" => (value.is_number() || value.is_boolean(), "a number"),
        "multipleOf" => (value.as_f64().is_some_and(|number| number > 0.0), "a number above 0"),
        _ => return None,
    };
    (!is).then_some(expected)
}

fn is_schema(value: &Value) -> bool {
    value.is_object() || value.is_boolean()
}

/// That an object has enough names by those that are required, and one more: names that no keyword lists may come again, and readers of
/// JSON take the last of them.
fn check_count(keywords: &Map<String, Value>) -> Result<(), (&'static str, String)> {
    let least = keywords.get("minProperties").and_then(Value::as_u64).unwrap_or_default();
    let names = keywords.get("required").and_then(Value::as_array).into_iter().flatten();
    let most = names.collect::<HashSet<_>>().len() as u64 + 1;
    match least > most {
        true => Err((
            "minProperties",
            format!(
                "{least} is not supported here: at most {most}, one more than \"required\" has names, as others may come again. \
                 List more names there"
            ),
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(schema: &Value) -> Option<&str> {
        check_values(schema.as_object()?, &BTreeSet::new()).err().map(|(keyword, _)| keyword)
    }

    #[test]
    fn values_have_the_form_of_their_keywords() {
        for (wrong, right) in [
            (json!({"$ref": 5}), json!({"$ref": "#"})),
            (json!({"type": "text"}), json!({"type": "integer"})),
            (json!({"type": []}), json!({"type": ["string", "null"]})),
            (json!({"enum": 5}), json!({"enum": [5]})),
            (json!({"required": [1]}), json!({"required": ["a"]})),
            (json!({"anyOf": [5]}), json!({"anyOf": [{}, true]})),
            (json!({"items": 5}), json!({"items": [{}]})),
            (json!({"additionalProperties": []}), json!({"additionalProperties": false})),
            (json!({"properties": {"a": 5}}), json!({"properties": {"a": {}}})),
            (json!({"maxLength": -1}), json!({"maxLength": 0})),
            (json!({"minItems": 2.5}), json!({"minItems": 2})),
            (json!({"minLength": 5_000_000_000_u64}), json!({"minLength": 1_000_000_000})),
            (json!({"minimum": "1"}), json!({"minimum": 1.5})),
            (json!({"exclusiveMaximum": null}), json!({"exclusiveMaximum": true})),
            (json!({"multipleOf": 0}), json!({"multipleOf": 0.1})),
        ] {
            assert_eq!(refused(&wrong), wrong.as_object().unwrap().keys().next().map(String::as_str), "{wrong}");
            assert_eq!(refused(&right), None, "{right}");
        }
    }

    #[test]
    fn names_that_may_come_again_do_not_count() {
        for (schema, keyword) in [
            (json!({"minProperties": 1}), None),
            (json!({"minProperties": 2}), Some("minProperties")),
            (json!({"minProperties": 3, "required": ["a", "b"]}), None),
            (json!({"minProperties": 3, "required": ["a", "a"]}), Some("minProperties")),
        ] {
            assert_eq!(refused(&schema), keyword, "{schema}");
        }
    }
}
