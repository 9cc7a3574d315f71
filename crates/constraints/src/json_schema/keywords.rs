//! The keywords of JSON schemas, of all drafts from 4 on.

use serde_json::{Map, Value};

/// A draft of JSON Schema. Each has the keywords of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Draft {
    Four,
    Six,
    Seven,
    September2019,
    December2020,
}

impl Draft {
    /// The one that a schema names; where it names none that `llguidance` knows, the one that it reads it by.
    pub(super) fn of(schema: &Value) -> Self {
        match schema.get("$schema").and_then(Value::as_str).unwrap_or_default().trim_end_matches('#') {
            "http://json-schema.org/draft-04/schema" => Self::Four,
            "http://json-schema.org/draft-06/schema" => Self::Six,
            "http://json-schema.org/draft-07/schema" => Self::Seven,
            "https://json-schema.org/draft/2019-09/schema" => Self::September2019,
            _ => Self::December2020,
        }
    }
}

/// What a keyword is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Its value is a schema, or a list of schemas.
    Schemas,
    /// Its value has a schema for each of its names.
    NamedSchemas,
    /// Its value is no schema.
    Value,
    /// No grammar is made of it.
    Unsupported,
    /// It constrains nothing: of the drafts, of editors (Visual Studio Code) and of OpenAPI.
    Annotation,
}

/// All of them, with the first draft that has them; for an annotation it does not matter.
const KEYWORDS: [(Kind, Draft, &[&str]); 11] = [
    (Kind::Schemas, Draft::Four, &["additionalItems", "additionalProperties", "allOf", "anyOf", "items", "oneOf"]),
    (Kind::Schemas, Draft::December2020, &["prefixItems"]),
    (Kind::NamedSchemas, Draft::Four, &["patternProperties", "properties"]),
    (
        Kind::Value,
        Draft::Four,
        &[
            "$ref",
            "enum",
            "exclusiveMaximum",
            "exclusiveMinimum",
            "format",
            "maxItems",
            "maxLength",
            "maxProperties",
            "maximum",
            "minItems",
            "minLength",
            "minProperties",
            "minimum",
            "multipleOf",
            "pattern",
            "required",
            "type",
        ],
    ),
    (Kind::Value, Draft::Six, &["const"]),
    // The last is of OpenAPI.
    (Kind::Unsupported, Draft::Four, &["dependencies", "not", "uniqueItems", "nullable"]),
    (Kind::Unsupported, Draft::Six, &["contains", "propertyNames"]),
    (Kind::Unsupported, Draft::Seven, &["else", "if", "then"]),
    (
        Kind::Unsupported,
        Draft::September2019,
        &[
            "$recursiveAnchor",
            "$recursiveRef",
            "dependentRequired",
            "dependentSchemas",
            "maxContains",
            "minContains",
            "unevaluatedItems",
            "unevaluatedProperties",
        ],
    ),
    (Kind::Unsupported, Draft::December2020, &["$dynamicAnchor", "$dynamicRef"]),
    (
        Kind::Annotation,
        Draft::Four,
        &[
            "$anchor",
            "$comment",
            "$defs",
            "$id",
            "$schema",
            "$vocabulary",
            "contentEncoding",
            "contentMediaType",
            "contentSchema",
            "default",
            "definitions",
            "deprecated",
            "description",
            "examples",
            "id",
            "readOnly",
            "title",
            "writeOnly",
            "allowComments",
            "allowTrailingCommas",
            "defaultSnippets",
            "deprecationMessage",
            "doNotSuggest",
            "enumDescriptions",
            "errorMessage",
            "markdownDescription",
            "markdownEnumDescriptions",
            "patternErrorMessage",
            "suggestSortText",
            "discriminator",
            "example",
            "externalDocs",
            "xml",
            "enumNames",
        ],
    ),
];

/// What names of one's own begin with.
const EXTENSION: &str = "x-";

/// How near a name is to one that is meant, from 0 to 1.
const NEAR: f64 = 0.6;

/// What is known of the name of a keyword.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Keyword {
    /// With the first draft that has it.
    Known(Kind, Draft),
    /// With the known one that may be meant.
    Unknown(Option<&'static str>),
}

impl Keyword {
    pub(super) fn named(name: &str) -> Self {
        if name.starts_with(EXTENSION) {
            return Self::Known(Kind::Annotation, Draft::Four);
        }
        if let Some((kind, since)) = known(name) {
            return Self::Known(kind, since);
        }
        let all = KEYWORDS.iter().flat_map(|(.., names)| *names);
        let likeness =
            |known: &str| strsim::normalized_damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase());
        let nearest = all.map(|known| (likeness(known), *known)).max_by(|a, b| a.0.total_cmp(&b.0));
        Self::Unknown(nearest.filter(|(likeness, _)| *likeness >= NEAR).map(|(_, known)| known))
    }
}

/// What a keyword is; none for what is no keyword.
pub(super) fn kind(name: &str) -> Option<Kind> {
    known(name).map(|(kind, _)| kind)
}

fn known(name: &str) -> Option<(Kind, Draft)> {
    KEYWORDS.iter().find(|(.., names)| names.contains(&name)).map(|(kind, since, _)| (*kind, *since))
}

/// Whether a keyword that is not supported constrains nothing: by its value, as some programs write out the defaults, or alone.
pub(super) fn constrains_nothing(keyword: &str, value: &Value, beside: &Map<String, Value>) -> bool {
    let is_alone = |others: &[&str]| others.iter().all(|other| !beside.contains_key(*other));
    let is_any = |schema: &Value| *schema == Value::Bool(true) || schema.as_object().is_some_and(Map::is_empty);
    let needs_none = |needed: &Value| needed.as_array().map_or_else(|| is_any(needed), Vec::is_empty);
    match keyword {
        // `required` is one of drafts before 4.
        "not" | "nullable" | "required" | "uniqueItems" => *value == Value::Bool(false),
        "propertyNames" | "unevaluatedItems" | "unevaluatedProperties" => is_any(value),
        "if" => ["then", "else"].iter().all(|other| beside.get(*other).is_none_or(is_any)),
        "then" | "else" => is_any(value) || is_alone(&["if"]),
        "maxContains" | "minContains" => is_alone(&["contains"]),
        "dependencies" | "dependentRequired" | "dependentSchemas" => {
            value.as_object().is_some_and(|all| all.values().all(needs_none))
        }
        // Names, for references that are refused.
        "$dynamicAnchor" | "$recursiveAnchor" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_the_nearest() {
        for (name, known) in [
            ("minLenght", "minLength"),
            ("min_length", "minLength"),
            ("MaxItems", "maxItems"),
            ("requried", "required"),
            ("propertys", "properties"),
            ("patern", "pattern"),
            ("ref", "$ref"),
            ("enums", "enum"),
            ("unique_items", "uniqueItems"),
        ] {
            assert_eq!(Keyword::named(name), Keyword::Unknown(Some(known)), "{name}");
        }
        assert_eq!(Keyword::named("strict"), Keyword::Unknown(None));
        assert_eq!(Keyword::named("type"), Keyword::Known(Kind::Value, Draft::Four));
        assert_eq!(["title", "x-order"].map(Keyword::named), [Keyword::Known(Kind::Annotation, Draft::Four); 2]);
        assert_eq!(Keyword::named("not"), Keyword::Known(Kind::Unsupported, Draft::Four));
    }
}
