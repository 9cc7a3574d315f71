//! What a JSON schema may have, by the texts that come of it, and what is said of what it may not.

mod common;

use common::*;
use descant_constraints::Grammar;
use descant_text::TokenizerKind;
use serde_json::{Value, json};

#[test]
fn what_constrains_nothing_may_stand_beside_what_does() {
    let (tokenizer, vocabulary) = json_tokenizer(TokenizerKind::Character);
    for schema in [
        r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "a", "title": "b", "description": "c", "$comment": "d",
            "default": {"minLenght": 1}, "examples": [{"patern": 2}], "deprecated": true, "readOnly": false, "writeOnly": false,
            "contentMediaType": "text/plain", "x-order": 3, "markdownDescription": "e", "const": {"requried": 7}}"#,
        // Names of what is generated are no keywords, and nor are those of what no reference leads to.
        r#"{"type": "object", "properties": {"requried": {"const": 7}}, "required": ["requried"], "additionalProperties": false,
            "$defs": {"a": {"minLenght": 1}}}"#,
        // A place for schemas that a reference leads to.
        r##"{"$ref": "#/components/schemas/Seven", "components": {"schemas": {"Seven":
            {"enum": [{"requried": 7}], "title": "\u0001"}}}}"##,
        // Values of keywords that are not supported, and of ones that drafts of old had.
        r#"{"nullable": false, "uniqueItems": false, "unevaluatedProperties": true, "propertyNames": {}, "not": false,
            "dependentRequired": {"a": []}, "$dynamicAnchor": "b", "type": "object", "additionalProperties": false,
            "properties": {"requried": {"const": 7, "required": false}}, "required": ["requried"]}"#,
        r#"{"if": {"const": 1}, "then": true, "else": {}, "const": {"requried": 7}}"#,
        r#"{"$schema": "http://json-schema.org/draft-06/schema#", "const": {"requried": 7}}"#,
        // A list of schemas in the manner of old drafts.
        r#"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
            "properties": {"requried": {"allOf": [{"const": 7}]}}, "required": ["requried"], "additionalItems": true}"#,
    ] {
        let grammar = Grammar::json_schema(&vocabulary, schema).unwrap();
        let texts = texts(&tokenizer, &grammar);
        assert!(texts.len() > 30, "{schema}: {texts:?}");
        for text in texts {
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({"requried": 7}), "{schema}");
        }
    }
}

/// `llguidance` compiles apart what stands before and after such as `allOf`.
#[test]
fn keywords_hold_together_in_whatever_order_they_stand() {
    let (tokenizer, vocabulary) = json_tokenizer(TokenizerKind::Character);
    for (schema, text) in [
        (r#"{"type": "array", "additionalItems": false, "allOf": [{"minItems": 1}], "items": [{"const": 1}]}"#, "[1]"),
        (r#"{"exclusiveMinimum": true, "allOf": [{"type": "integer"}], "minimum": 5, "maximum": 6}"#, "6"),
        (
            r#"{"type": "object", "additionalProperties": false, "allOf": [{"required": ["a"]}],
                "patternProperties": {"^a$": {"const": 1}}}"#,
            r#"{"a":1}"#,
        ),
        // Behind a reference, the way to which leads through a list.
        (
            r##"{"$ref": "#/lists/01", "lists": [{}, {"exclusiveMaximum": true, "$ref": "#/lists/2", "maximum": 5, "minimum": 4},
                {"type": "integer"}]}"##,
            "4",
        ),
        // Properties come in the order of the schema.
        (
            r#"{"type": "object", "allOf": [{"properties": {"b": {"const": 1}}}], "properties": {"a": {"const": 2}, "b": {}},
                "required": ["a", "b"], "additionalProperties": false}"#,
            r#"{"b":1,"a":2}"#,
        ),
    ] {
        let lark = format!("start: %json {schema}\n");
        for grammar in [Grammar::json_schema(&vocabulary, schema), Grammar::parse(&vocabulary, &lark)] {
            let texts = texts(&tokenizer, &grammar.unwrap());
            // A grammar in the syntax of Lark has any white space.
            assert!(texts.len() > 5, "{schema}: {texts:?}");
            for one in texts {
                assert_eq!(one.split_whitespace().collect::<String>(), text, "{schema}");
            }
        }
    }
}

#[test]
fn what_a_lenient_schema_passes_over_is_reported() {
    let (tokenizer, vocabulary) = json_tokenizer(TokenizerKind::Character);
    let schema = r#"{"$schema": "http://json-schema.org/draft-07/schema#", "x-guidance": {"lenient": true}, "strict": true,
        "allOf": [{"not": {"const": 7}, "prefixItems": [{}]}], "enum": [7]}"#;
    let grammar = Grammar::json_schema(&vocabulary, schema).unwrap();
    let passed = ["/strict", "/allOf/0/not", "/allOf/0/prefixItems"];
    let passed = passed.map(|at| format!("{at} has no effect: \"lenient\" passes over it"));
    assert_eq!(grammar.warnings(), passed);
    let texts = texts(&tokenizer, &grammar);
    assert!(!texts.is_empty() && texts.iter().all(|text| text.trim() == "7"), "{texts:?}");
    assert!(Grammar::json_schema(&vocabulary, &schema.replace("true}", "false}")).is_err());
}

/// The only text of each schema, without its spaces.
#[test]
fn references_lead_where_pointers_say() {
    let (tokenizer, vocabulary) = json_tokenizer(TokenizerKind::Character);
    for (schema, text) in [
        (r##"{"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 1}, "0": {"const": 2}}}"##, "1"),
        (r##"{"$ref": "#/$defs/a~0b", "$defs": {"a~b": {"const": 1}, "a/b": {"const": 2}}}"##, "1"),
        (r##"{"$ref": "#/$defs/~01", "$defs": {"~1": {"const": 1}, "/": {"const": 2}}}"##, "1"),
        (r##"{"$ref": "#/$defs/the%20fox", "$defs": {"the fox": {"const": 1}, "the%20fox": {"const": 2}}}"##, "1"),
        (r##"{"$ref": "#/$defs/gr%C3%B6%C3%9Fe", "$defs": {"größe": {"const": 1}}}"##, "1"),
        // Beside other keywords, in a list, and twice; what it leads to leads on.
        (
            r##"{"type": "array", "minItems": 3, "maxItems": 3, "items": {"$ref": "#/$defs/a~1b", "maximum": 4},
                "prefixItems": [{"const": 0}, {"$ref": "#/$defs/a~1b"}],
                "$defs": {"a/b": {"allOf": [{"$ref": "#/$defs/c~1d"}, {"minimum": 4}]}, "c/d": {"type": "integer", "maximum": 4}}}"##,
            "[0,4,4]",
        ),
        // Through a property, and to itself.
        (
            r##"{"type": "object", "additionalProperties": false, "required": ["a/b", "x"],
                "properties": {"a/b": {"const": 1}, "x": {"$ref": "#/properties/a~1b"}}}"##,
            r#"{"a/b":1,"x":1}"#,
        ),
        (
            r##"{"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "object", "additionalProperties": false, "required": ["x"],
                "properties": {"x": {"anyOf": [{"const": 1}, {"type": "null", "const": {"$ref": "#/$defs/a~1b"}}]}}}}}"##,
            r#"{"x":1}"#,
        ),
    ] {
        let texts = texts(&tokenizer, &Grammar::json_schema(&vocabulary, schema).unwrap());
        assert!(texts.len() > 5, "{schema}: {texts:?}");
        for one in texts {
            assert_eq!(one.split_whitespace().collect::<String>(), text, "{schema}");
        }
    }
}

#[test]
fn texts_of_a_format_are_of_it() {
    let (tokenizer, vocabulary) = json_tokenizer(TokenizerKind::Character);
    for format in ["date", "date-time", "time", "uuid", "ipv4", "idn-email", "uri-reference", "iri", "iri-reference"] {
        let schema = json!({"type": "string", "format": format, "maxLength": 40});
        let valid = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let grammar = Grammar::json_schema(&vocabulary, &schema.to_string()).unwrap();
        assert_eq!(grammar.warnings(), [""; 0], "{format}");
        let texts = texts(&tokenizer, &grammar);
        assert!(texts.len() > 5, "{format}: {texts:?}");
        for text in texts {
            assert!(valid.is_valid(&serde_json::from_str(&text).unwrap()), "{format}: {text}");
        }
    }
    // 29 February is in leap years alone, and leap seconds are not written.
    let days = json!({"type": "string", "format": "date", "pattern": "^[012][0-9][01]0-02-29$"});
    let days = texts(&tokenizer, &Grammar::json_schema(&vocabulary, &days.to_string()).unwrap());
    assert!(days.len() > 5, "{days:?}");
    for day in days {
        let year: u32 = day.trim().trim_matches('"')[..4].parse().unwrap();
        assert!(year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)), "{day}");
    }
    for format in ["time", "date-time"] {
        let leap = json!({"type": "string", "format": format, "pattern": "[0-9]:60"}).to_string();
        assert!(Grammar::json_schema(&vocabulary, &leap).is_err(), "{format}");
    }
    let told = |schema: Value| Grammar::json_schema(&vocabulary, &schema.to_string()).unwrap().warnings().to_vec();
    assert_eq!(told(json!({"format": "int32", "type": "integer"})), [""; 0]);
    assert_eq!(told(json!({"format": "password"})), [""; 0]);
    assert_eq!(told(json!({"items": {"format": "my-own"}})), ["/items/format has no effect: there is no such format"]);
    let slip = "/format has no effect: there is no such format (did you mean date-time?)";
    assert_eq!(told(json!({"format": "datetime"})), [slip]);
    let lenient = json!({"format": "regex", "x-guidance": {"lenient": true}});
    assert_eq!(told(lenient), ["/format has no effect: \"lenient\" passes over it"]);
}

/// Patterns are of ECMA-262, wherever they stand; a class may be negated.
#[test]
fn texts_of_a_pattern_match_it() {
    let (tokenizer, vocabulary) = json_tokenizer(TokenizerKind::ByteBpe);
    for (pattern, whole) in [
        (
            r"^\s{1,3}$",
            r"^[\t\n\x0B\f\r \u{A0}\u{1680}\u{2000}-\u{200A}\u{2028}\u{2029}\u{202F}\u{205F}\u{3000}\u{FEFF}]{1,3}$",
        ),
        (r#"^[^"\\]{1,3}$"#, r#"^[^"\\]{1,3}$"#),
        (r#"^[^\S]$|^[^"]$"#, r#"^[^"]$"#),
        (r"^\P{Po}{1,3}$", r"^\P{Po}{1,3}$"),
        ("^.{2}$", r"^[^\r\n\u{2028}\u{2029}]{2}$"),
        (r"^[[&&a]{2}$", r"^[\[&a]{2}$"),
    ] {
        let whole = regex::Regex::new(whole).unwrap();
        let named = json!({"type": "object", "patternProperties": {pattern: {"$ref": "#/$defs/a"}}, "additionalProperties": false,
            "minProperties": 1, "$defs": {"a": {"type": "string", "pattern": pattern}}});
        // To a schema below a pattern.
        let below = json!({"type": "object", "properties": {"a": {"$ref": format!("#/patternProperties/{}", pattern.replace('%', "%25"))}},
            "required": ["a"], "patternProperties": {pattern: {"type": "string", "pattern": pattern}}, "additionalProperties": false});
        for schema in [named, below] {
            let texts = texts(&tokenizer, &Grammar::json_schema(&vocabulary, &schema.to_string()).unwrap());
            assert!(texts.len() > 2, "{schema}: {texts:?}");
            for text in texts {
                let object: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
                for (name, value) in object {
                    assert!(name == "a" || whole.is_match(&name), "{schema}: {text}");
                    assert!(whole.is_match(value.as_str().unwrap()), "{schema}: {text}");
                }
            }
        }
    }
}

#[test]
fn what_is_refused_is_named_with_its_place() {
    let (_, vocabulary) = json_tokenizer(TokenizerKind::Character);
    let one_of = |name: &str| json!({"type": "object", "properties": {name: {"type": "integer"}}, "required": [name]});
    let deep = format!("{}{{}}{}", r#"{"items":"#.repeat(200), "}".repeat(200));
    let mut doubled = json!({"type": "integer"});
    (0..17).for_each(|_| doubled = json!({"allOf": [doubled, doubled]}));
    for (schema, says) in [
        // Names that are not listed may come again.
        (
            json!({"patternProperties": {"^a$": {"enum": [1]}}, "additionalProperties": false, "minProperties": 2}),
            "/minProperties: 2 is not supported here: at most 1",
        ),
        (json!({"properties": {"a": {"format": "regex"}}}), "/properties/a/format: this one is not supported"),
        (
            json!({"items": {"$ref": "#/$defs/a"}}),
            "/items/$ref: \"#/$defs/a\" leads nowhere: the schema has no \"$defs\"",
        ),
        (json!({"$ref": "#/"}), "/$ref: \"#/\" leads nowhere"),
        (json!({"$ref": "#name"}), "/$ref: \"#name\" is not supported: only references within the schema"),
        (json!({"$ref": "#/title", "title": "a"}), "/$ref: \"#/title\" leads to what is no schema"),
        (
            json!({"items": {"$id": "b", "items": {"$ref": "#/items"}}}),
            "/items/items/$ref: the identifier at /items gives it another base",
        ),
        (json!({"items": {"minLength": -1}}), "/items/minLength: expected a whole number"),
        (json!({"items": [{"type": "text"}]}), "/items/0/type: expected one of"),
        // What `llguidance` refuses.
        (
            json!({"properties": {"a": {}, "b": {"oneOf": [one_of("a"), one_of("b")]}, "c": {}}}),
            "/properties/b: it does not show that no value has two forms of this oneOf",
        ),
        (
            json!({"items": {"$ref": "#/$defs/a~1b"}, "$defs": {"a/b": {"items": {"oneOf": [{}, {}]}}}}),
            "/$defs/a~1b/items: it does not show",
        ),
        (
            json!({"allOf": [{}, {"properties": {"a": {}, "b": {}}, "minProperties": 1, "maxProperties": 2}]}),
            "/allOf/1: minProperties and maxProperties are supported where",
        ),
        (
            json!({"items": {"allOf": [{"multipleOf": 97}, {"multipleOf": 89}, {"multipleOf": 83}]}}),
            "/items/allOf/2/multipleOf: with others of the same value, a multiple of 716539 units is not supported",
        ),
        (json!({"items": {"pattern": r"a\b"}}), "/items: look-around and word boundaries"),
        (json!({"type": "string", "pattern": "a", "maxLength": 0}), "no text has its pattern"),
        // Patterns, which are translated, and what is added for a format.
        (
            json!({"patternProperties": {r"\d": {"type": "string"}, "[0-9]": {"type": "integer"}}}),
            r#"/patternProperties: "[0-9]": another pattern matches the same names"#,
        ),
        (
            json!({"properties": {"a": {"allOf": [{"pattern": "(?=a)"}]}, "b": {"patternProperties": {r"\x30": {"type": "string"}}}}}),
            "/properties/a/allOf/0: a regular expression cannot be read: look-around",
        ),
        (
            json!({"properties": {"a": {"patternProperties": {r"\d": {}}}, "b": {"patternProperties": {r"\D": {"patternProperties": {"[0-9]": {"pattern": "(?=a)"}}}}}}}),
            r"/properties/b/patternProperties/\D/patternProperties/[0-9]: a regular expression cannot be read: look-around",
        ),
        (
            json!({"type": "string", "format": "date", "pattern": "^2023-02-29$", "allOf": [{}]}),
            "the JSON schema: unsatisfiable: no text has its pattern, format",
        ),
        (
            json!({"type": "object", "properties": {"a": {"const": 5, "type": "string"}}, "required": ["a"]}),
            "nsatisfiable",
        ),
        (doubled, "it has more than 50000 schemas within it"),
        (json!([]), "a schema is an object, true or false"),
    ] {
        let error = Grammar::json_schema(&vocabulary, &schema.to_string()).unwrap_err().to_string();
        assert!(error.contains(says) && !error.contains('\n'), "{says}: {error}");
    }
    for (text, says) in
        [(&deep[..], "more than 127 values stand within each other"), (" ", "it is empty"), ("5", "an object")]
    {
        let error = Grammar::json_schema(&vocabulary, text).unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
    }
    assert!(Grammar::json_schema(&vocabulary, "true").is_ok());
}

/// References from each schema to the next, all of which stand in the first.
#[test]
fn references_may_lead_very_deep() {
    const DEEP: usize = 6_000;
    let (_, vocabulary) = json_tokenizer(TokenizerKind::Character);
    let next = |i: usize| json!({"$ref": format!("#/properties/p{}", i + 1)});
    let mut properties: serde_json::Map<String, Value> = (0..DEEP).map(|i| (format!("p{i}"), next(i))).collect();
    properties.insert(format!("p{DEEP}"), json!({"const": 1}));
    let schema = json!({"type": "object", "properties": properties}).to_string();
    assert!(Grammar::json_schema(&vocabulary, &schema).is_ok());
}

/// What a message quotes is not what it says.
#[test]
fn messages_are_not_explained_by_the_names_in_them() {
    let (_, vocabulary) = json_tokenizer(TokenizerKind::Character);
    let error = Grammar::parse(&vocabulary, "start: fuel_exhausted_fuel\n").unwrap_err().to_string();
    assert!(error.contains("fuel_exhausted_fuel") && !error.contains("too large"), "{error}");
    let error = Grammar::parse(&vocabulary, "start: \"fuel exhausted\" x\n").unwrap_err().to_string();
    assert!(!error.contains("too large"), "{error}");
}

/// A schema that is refused, at the end of so many references that the place of its fault is not searched for to the end.
#[test]
fn a_fault_behind_thousands_of_references_is_found_or_not_in_seconds() {
    const DEEP: usize = 9_000;
    let (_, vocabulary) = json_tokenizer(TokenizerKind::Character);
    let object = |i: usize| json!({"type": "object", "properties": {"x": {"$ref": format!("#/$defs/a{}", i + 1)}}, "required": ["x"]});
    let mut definitions: serde_json::Map<String, Value> = (0..DEEP).map(|i| (format!("a{i}"), object(i))).collect();
    definitions.insert(format!("a{DEEP}"), json!({"oneOf": [{}, {}]}));
    let schema = json!({"$ref": "#/$defs/a0", "$defs": definitions}).to_string();
    let start = std::time::Instant::now();
    let error = Grammar::json_schema(&vocabulary, &schema).unwrap_err().to_string();
    assert!(error.starts_with("the JSON schema: ") && error.len() < 1000, "{error}");
    // Without an end of the search it takes minutes.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

/// Large numbers cost neither time nor memory.
#[test]
fn bounds_may_be_large() {
    let (tokenizer, vocabulary) = json_tokenizer(TokenizerKind::Character);
    for (schema, is_short) in [
        (json!({"type": "string", "minLength": 100_000}), false),
        (json!({"type": "string", "maxLength": 4_294_967_295_u32}), true),
        (json!({"type": "string", "pattern": "^(a{1000}b){1000}$"}), false),
        (json!({"type": "string", "pattern": "^[a-z]*$", "minLength": 1_000_000_000}), false),
        (json!({"type": "array", "items": {"type": "integer"}, "minItems": 1_000_000_000}), false),
        (json!({"type": "array", "items": {"type": "integer"}, "maxItems": 1_000_000_000}), true),
        (json!({"type": "object", "additionalProperties": {"const": 1}, "maxProperties": 1_000_000_000}), true),
    ] {
        let found = texts(&tokenizer, &Grammar::json_schema(&vocabulary, &schema.to_string()).unwrap());
        assert_eq!(!found.is_empty(), is_short, "{schema}: {found:?}");
    }
    // Beside the characters of the vocabulary it is too much for some.
    for regex in ["((a{100}){100}){100}", "(ab){1000000000}", "[a-z]{100000}"] {
        match Grammar::regex(&vocabulary, regex) {
            Ok(grammar) => assert_eq!(texts(&tokenizer, &grammar), [""; 0], "{regex}"),
            Err(error) => assert!(error.to_string().contains("repeat less"), "{regex}: {error}"),
        }
    }
}
