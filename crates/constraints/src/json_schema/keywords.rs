//! The keywords of JSON schemas, of all drafts from 4 on.

/// Those whose value is a schema, or a list of schemas.
pub(super) const SCHEMAS: [&str; 7] =
    ["additionalItems", "additionalProperties", "allOf", "anyOf", "items", "oneOf", "prefixItems"];

/// Those whose value has a schema for each of its names.
pub(super) const NAMED_SCHEMAS: [&str; 2] = ["patternProperties", "properties"];

/// Those whose value is no schema.
const VALUES: [&str; 18] = [
    "$ref",
    "const",
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
];

/// Those that no grammar is made of.
const UNSUPPORTED: [&str; 19] = [
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveAnchor",
    "$recursiveRef",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "maxContains",
    "minContains",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "nullable",
];

/// Those that constrain nothing: of the drafts, of editors (Visual Studio Code) and of OpenAPI.
const ANNOTATIONS: [&str; 34] = [
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
];

/// What names of one's own begin with.
const EXTENSION: &str = "x-";

/// How near a name is to one that is meant, from 0 to 1.
const NEAR: f64 = 0.6;

/// What is known of the name of a keyword.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Keyword {
    Known,
    Unsupported,
    /// With the known one that may be meant.
    Unknown(Option<&'static str>),
}

impl Keyword {
    pub(super) fn named(name: &str) -> Self {
        let has = |names: &[&str]| names.contains(&name);
        if has(&UNSUPPORTED) {
            return Self::Unsupported;
        }
        if name.starts_with(EXTENSION) || [&SCHEMAS[..], &NAMED_SCHEMAS, &VALUES, &ANNOTATIONS].into_iter().any(has) {
            return Self::Known;
        }
        let all = [&SCHEMAS[..], &NAMED_SCHEMAS, &VALUES, &UNSUPPORTED, &ANNOTATIONS].into_iter().flatten();
        let likeness =
            |known: &str| strsim::normalized_damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase());
        let nearest = all.map(|known| (likeness(known), *known)).max_by(|a, b| a.0.total_cmp(&b.0));
        Self::Unknown(nearest.filter(|(likeness, _)| *likeness >= NEAR).map(|(_, known)| known))
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
        assert_eq!(["type", "title", "x-order"].map(Keyword::named), [Keyword::Known; 3]);
        assert_eq!(Keyword::named("not"), Keyword::Unsupported);
    }
}
