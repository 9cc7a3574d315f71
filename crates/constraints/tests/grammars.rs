//! Texts of grammars, from models that know nothing of them: whatever is finished is valid by another program's word.

mod common;

use common::*;
use descant_constraints::{ConstraintError, Grammar, Vocabulary};
use descant_generate::{GenerationConfig, Hypothesis};
use descant_text::{Tokenizer, TokenizerKind};
use serde_json::{Value, json};
use std::sync::Arc;

/// How many of each kind.
const CASES: usize = 1000;

fn cases() -> usize {
    std::env::var("DESCANT_CASES").map_or(CASES, |cases| cases.parse().unwrap())
}

fn searches() -> [(&'static str, GenerationConfig); 2] {
    let sampling = GenerationConfig::sampling(7).with(|c| c.temperature = Some(0.7));
    [("sampling", sampling), ("beam 4", GenerationConfig::beam(4))]
}

/// Generates a text of each grammar with every search and model, and checks those that are finished; returns the share of them.
fn check<T: Clone>(
    tokenizer: &Tokenizer,
    grammars: &[(Grammar, T)],
    most: usize,
    is_valid: impl Fn(&str, &T) -> Result<(), String>,
) -> f64 {
    let (mut finished, mut all) = (0, 0);
    for (search, config) in searches() {
        for model in models(tokenizer.vocabulary()) {
            for chunk in grammars.chunks(50) {
                let rows: Vec<u64> = (0..chunk.len() as u64).collect();
                let constraint = ByRow(chunk.iter().map(|(grammar, _)| grammar.clone()).collect());
                let found = model.write(&rows, &config, most, constraint);
                for ((_, about), found) in chunk.iter().zip(found) {
                    all += 1;
                    finished += usize::from(found.first().is_some_and(Hypothesis::is_finished));
                    for one in found.iter().filter(|one| one.is_finished()) {
                        let text = tokenizer.decode(&one.tokens).unwrap();
                        if let Err(reason) = is_valid(&text, about) {
                            panic!("{search}, {}: {text:?}: {reason}", model.name);
                        }
                    }
                }
            }
        }
    }
    f64::from(finished as u32) / f64::from(all as u32)
}

/// A random schema, all of whose texts are short.
fn schema(draw: &mut Draw, depth: usize) -> Value {
    let kinds = if depth == 0 { 10 } else { 16 };
    let texts = ["a", "the", "fox 12", "x\"y", "größe", "a\\b", "line\nend", ""];
    match draw.below(kinds) {
        0 => {
            let least = draw.below(3);
            json!({"type": "string", "minLength": least, "maxLength": least + draw.below(6)})
        }
        1 => {
            let patterns = [
                "^[a-c]{1,4}$",
                r"^\d{2}-\d{2}$",
                "^(ab|cd)+$",
                "^x.{0,3}$",
                r"^\w{2,5}$",
                "^[^a-y]{1,3}$",
                "^[^\"b-y]{1,3}$",
                r"^\S{1,4}$",
            ];
            json!({"type": "string", "pattern": draw.of(&patterns), "maxLength": 8})
        }
        2 => json!({"enum": [draw.of(&texts), draw.of(&texts), draw.below(100), null]}),
        3 => json!({"const": draw.of(&texts)}),
        4 => {
            let least = draw.below(200) as i64 - 100;
            json!({"type": "integer", "minimum": least, "maximum": least + draw.below(500) as i64})
        }
        5 => {
            let least = draw.below(200) as f64 / 8.0 - 10.0;
            json!({"type": "number", "minimum": least, "exclusiveMaximum": least + 0.5 + draw.below(100) as f64})
        }
        6 => json!({"type": "boolean"}),
        7 => json!({"type": draw.of(&["null", "boolean", "integer"])}),
        8 => json!({"type": ["string", "null"], "maxLength": draw.below(5)}),
        9 => json!({"type": "integer", "multipleOf": 1 + draw.below(7), "minimum": 0, "maximum": 50 + draw.below(50)}),
        10 | 11 => {
            let least = draw.below(2);
            json!({"type": "array", "items": schema(draw, depth - 1), "minItems": least, "maxItems": least + draw.below(3)})
        }
        12 => json!({"anyOf": [schema(draw, depth - 1), schema(draw, depth - 1)]}),
        13 => json!({"$ref": draw.of(&["#/$defs/item", "#/$defs/tree"])}),
        _ => {
            let names = ["name", "age", "the fox", "größe", "a\"b", "x"];
            let count = 1 + draw.below(4);
            let mut properties = serde_json::Map::new();
            for _ in 0..count {
                properties.insert(draw.of(&names).to_owned(), schema(draw, depth - 1));
            }
            let required: Vec<&String> = properties.keys().filter(|_| draw.chance(50)).collect();
            let mut object = json!({"type": "object", "required": required, "additionalProperties": false});
            if draw.chance(20) {
                object["additionalProperties"] = schema(draw, 0);
            }
            object["properties"] = properties.into();
            object
        }
    }
}

fn whole_schema(draw: &mut Draw) -> Value {
    let mut whole = schema(draw, 2);
    whole["$defs"] = json!({
        "item": schema(draw, 0),
        "tree": {"type": "object", "properties": {"x": schema(draw, 0), "next": {"$ref": "#/$defs/tree"}},
            "required": ["x"], "additionalProperties": false},
    });
    whole
}

fn is_json_of(text: &str, schema: &jsonschema::Validator) -> Result<(), String> {
    // JSON has numbers of any size and precision; this reader has not.
    if text.as_bytes().split(|byte| !byte.is_ascii_digit()).any(|digits| digits.len() > 15) {
        return Ok(());
    }
    let value: Value = match serde_json::from_str(text) {
        Err(error) if error.to_string().contains("number out of range") => return Ok(()),
        value => value.map_err(|error| error.to_string())?,
    };
    schema.validate(&value).map_err(|error| error.to_string())
}

#[test]
fn whatever_is_finished_is_json_of_its_schema() {
    let mut draw = Draw(1);
    let schemas: Vec<Value> = (0..cases()).map(|_| whole_schema(&mut draw)).collect();
    for kind in KINDS {
        let tokenizer = tokenizer(kind, &JSON_TEXTS);
        let vocabulary = Vocabulary::new(&tokenizer).unwrap();
        let mut grammars = Vec::new();
        let mut refused = 0;
        for schema in &schemas {
            match Grammar::json_schema(&vocabulary, &schema.to_string()) {
                Ok(grammar) => grammars.push((grammar, Arc::new(jsonschema::validator_for(schema).unwrap()))),
                Err(ConstraintError::Grammar { reason, .. }) if reason.contains("nsatisfiable") => refused += 1,
                Err(error) => panic!("{schema}: {error}"),
            }
        }
        assert!(refused < 50 * cases().div_ceil(1000), "{kind}: {refused}");
        let share = check(&tokenizer, &grammars, 160, |text, schema| is_json_of(text, schema));
        assert!(share > 0.9, "{kind}: {share} finished");
    }
}

/// A random regular expression.
fn regex(draw: &mut Draw, depth: usize) -> String {
    let atoms =
        ["a", "b", "x", "7", " ", "-", "ß", "[a-c]", "[^a-m]", r"\d", r"\w", ".", r"\.", "[xyz0-3_]", r"\s", r"\{"];
    let mut text = String::new();
    for _ in 0..1 + draw.below(3) {
        let atom = match draw.below(4) {
            0 if depth > 0 => format!("({}|{})", regex(draw, depth - 1), regex(draw, depth - 1)),
            1 if depth > 0 => format!("(?:{})", regex(draw, depth - 1)),
            _ => draw.of(&atoms).to_owned(),
        };
        let (least, more) = (draw.below(3), draw.below(3));
        let repeat = match draw.below(6) {
            0 => "?".to_owned(),
            1 => format!("{{{least},{}}}", least + more),
            2 => "*".to_owned(),
            3 => "+".to_owned(),
            _ => String::new(),
        };
        text += &format!("{atom}{repeat}");
    }
    text
}

#[test]
fn whatever_is_finished_matches_its_regular_expression() {
    let mut draw = Draw(2);
    let regexes: Vec<String> = (0..cases()).map(|_| regex(&mut draw, 2)).collect();
    for kind in KINDS {
        let tokenizer = tokenizer(kind, &JSON_TEXTS);
        let vocabulary = Vocabulary::new(&tokenizer).unwrap();
        let mut grammars = Vec::new();
        for regex in &regexes {
            let whole = Arc::new(regex::Regex::new(&format!("^(?:{regex})$")).unwrap());
            match Grammar::regex(&vocabulary, regex) {
                Ok(grammar) => grammars.push((grammar, whole)),
                Err(error) => panic!("{kind}: {regex}: {error}"),
            }
        }
        let share = check(&tokenizer, &grammars, 120, |text, regex| match regex.is_match(text) {
            true => Ok(()),
            false => Err(format!("it does not match {regex}")),
        });
        assert!(share > 0.5, "{kind}: {share} finished");
    }
}

/// The schemas of a file, one a line, of which each is refused or makes valid texts: for those of a public suite,
/// `DESCANT_SCHEMAS=FILE cargo test --release -p descant-constraints --test grammars -- --ignored`.
#[test]
#[ignore = "it needs DESCANT_SCHEMAS, a file of schemas"]
fn whatever_is_finished_is_json_of_the_schemas_of_a_file() {
    let file = std::env::var("DESCANT_SCHEMAS").expect("DESCANT_SCHEMAS");
    let lines = std::fs::read_to_string(file).unwrap();
    for kind in KINDS {
        let tokenizer = tokenizer(kind, &JSON_TEXTS);
        let vocabulary = Vocabulary::new(&tokenizer).unwrap();
        let (mut grammars, mut refused) = (Vec::new(), 0);
        for line in lines.lines() {
            // The validator's own `\s` has not got all of ECMA-262's white space.
            let space = r"[\t\n\u000B\f\r \u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF]";
            let schema: Value = serde_json::from_str(&line.replace(r"\\s", space)).unwrap();
            match (Grammar::json_schema(&vocabulary, line), jsonschema::validator_for(&schema)) {
                (Ok(grammar), Ok(validator)) => grammars.push((grammar, Arc::new(validator))),
                (Ok(_), Err(error)) => panic!("{line}: {error}"),
                (Err(_), _) => refused += 1,
            }
        }
        let share = check(&tokenizer, &grammars, 160, |text, schema| is_json_of(text, schema));
        println!("{kind}: {} schemas, {refused} refused, {:.1} % finished", lines.lines().count(), 100.0 * share);
    }
}

#[test]
fn lark_and_gbnf_are_grammars_with_recursion() {
    let lark = "start: sum\nsum: term (\"+\" term)*\nterm: NUMBER | \"(\" sum \")\"\nNUMBER: /[0-9]{1,2}/\n";
    let gbnf = "root ::= sum\nsum ::= term (\"+\" term)*\nterm ::= number | \"(\" sum \")\"\nnumber ::= [0-9]{1,2}\n";
    let is_sum = |text: &str| {
        let mut depth = 0_i32;
        let is_balanced = text.chars().all(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth >= 0
        });
        let plain: String = text.chars().filter(|c| !"()".contains(*c)).collect();
        let is_number = |number: &str| (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        is_balanced && depth == 0 && plain.split('+').all(is_number)
    };
    for kind in TokenizerKind::ALL.into_iter().filter(|kind| *kind != TokenizerKind::Word) {
        let (tokenizer, vocabulary) = json_tokenizer(kind);
        for grammar in [lark, gbnf] {
            let texts = texts(&tokenizer, &Grammar::parse(&vocabulary, grammar).unwrap());
            assert!(texts.len() > 10, "{kind}: {texts:?}");
            assert!(texts.iter().all(|text| is_sum(text)), "{kind}: {texts:?}");
        }
    }
}

#[test]
fn words_are_written_with_the_spaces_between_them() {
    let (tokenizer, vocabulary) = json_tokenizer(TokenizerKind::Word);
    let grammar = Grammar::regex(&vocabulary, "the( (quick|brown|lazy)){2} (fox|dog)").unwrap();
    let texts = texts(&tokenizer, &grammar);
    assert!(texts.len() > 30 && texts.iter().all(|text| text.split(' ').count() == 4), "{texts:?}");
    // Spaces alone are no words.
    assert!(Grammar::regex(&vocabulary, " +").is_err());
}

#[test]
fn leading_spaces_are_those_of_the_text() {
    for kind in [TokenizerKind::Bpe, TokenizerKind::Unigram, TokenizerKind::Wordpiece, TokenizerKind::ByteBpe] {
        let (tokenizer, vocabulary) = json_tokenizer(kind);
        for (regex, most) in [(" the", 1), ("the", 0), (" {0,3}fox", 3), ("(  )?[a-c] [a-c]", 2)] {
            let whole = regex::Regex::new(&format!("^(?:{regex})$")).unwrap();
            let texts = texts(&tokenizer, &Grammar::regex(&vocabulary, regex).unwrap());
            assert!(texts.len() > 20, "{kind}, {regex}: {texts:?}");
            for text in texts {
                assert!(
                    whole.is_match(&text) && text.len() - text.trim_start().len() <= most,
                    "{kind}, {regex}: {text:?}"
                );
            }
        }
    }
}

#[test]
fn a_grammar_that_cannot_be_is_refused_with_its_reason() {
    let (_, vocabulary) = json_tokenizer(TokenizerKind::Character);
    let json = |schema: &str| Grammar::json_schema(&vocabulary, schema).unwrap_err().to_string();
    let regex = |regex: &str| Grammar::regex(&vocabulary, regex).unwrap_err().to_string();
    for (error, says) in [
        (json("{"), "it is no JSON"),
        (json(r#"{"type": "text"}"#), "/type: expected one of"),
        (json("false"), "nsatisfiable"),
        (json(r#"{"not": {"type": "string"}}"#), "not"),
        (json(r#"{"type": "array", "uniqueItems": true}"#), "uniqueItems"),
        (json(r#"{"const": 5, "type": "string"}"#), "nsatisfiable"),
        (json(r#"{"items": {"pattern": "^a\\Z"}}"#), r#"/items/pattern: "^a\\Z": \Z is no escape of ECMA-262"#),
        (json(r#"{"patternProperties": {"(?s)a": {}}}"#), "/patternProperties: \"(?s)a\": the flag s"),
        (json(r#"{"const": "a\u0000b"}"#), "'\\0', which JSON writes only as \\u"),
        (json(r#"{"type": "object", "properties": {"\u0001": {}}}"#), "'\\u{1}'"),
        (regex("a("), "the regular expression"),
        (regex(r"a\b"), "the regular expression"),
        (regex("(?=a)b"), "the regular expression"),
        (regex("ab?我们+"), "it would need one of '我'"),
        (regex("("), "a regular expression cannot be read: unclosed group"),
        (regex(r"[^\s\S]"), "it has no text"),
        (json(r##"{"$ref": "#"}"##), "it has no text"),
        (
            json(r#"{"type": "string", "minLenght": 20}"#),
            "/minLenght: there is no such keyword (did you mean minLength?)",
        ),
        (
            json(r#"{"properties": {"a/b": {"requried": ["c"]}}}"#),
            "/properties/a~1b/requried: there is no such keyword (did you mean required?)",
        ),
        (json(r#"{"items": [{"anyOf": [{"patern": "a"}]}]}"#), "/items/0/anyOf/0/patern"),
        (json(r##"{"$ref": "#/$defs/a", "$defs": {"a": {"propertys": {}}}}"##), "/$defs/a/propertys"),
        (json(r#"{"name": "answer", "strict": true, "schema": {}}"#), "/name: there is no such keyword"),
        (json(r#"{"properties": {"a": {"not": {}}}}"#), "/properties/a/not: this is not supported"),
        // Of a draft that does not have it, too.
        (
            json(r#"{"$schema": "http://json-schema.org/draft-07/schema#", "dependentRequired": {"a": ["b"]}}"#),
            "/dependentRequired",
        ),
        (
            json(r#"{"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"a": {"const": 5}}}"#),
            "/properties/a/const: the draft",
        ),
        (json(r#"{"type": "string", "nullable": true}"#), "/nullable: this is not supported"),
        (
            json(r#"{"$schema": "http://json-schema.org/draft-07/schema#", "prefixItems": [{}]}"#),
            "/prefixItems: the draft",
        ),
        (json(r#"{"prefixItems": [{"const": 1}], "additionalItems": false}"#), "/prefixItems: beside it"),
        (json(r#"{"prefixItems": [{"const": 1}], "items": [{}]}"#), "/prefixItems: beside it"),
        (
            json(r#"{"properties": {"a": {"type": "string", "required": true}}}"#),
            "/properties/a/required: expected the list",
        ),
        (json(r#"{"maxLength": 3, "maxLength": 30}"#), "it has the key \"maxLength\" twice"),
    ] {
        assert!(error.contains(says) && !error.contains('\n'), "{says}: {error}");
    }
    let grammar = |text: &str| Grammar::parse(&vocabulary, text).unwrap_err().to_string();
    for (error, says) in [
        (grammar("root ::= other"), "\"other\", which is not defined"),
        (grammar("start: nothing"), "nothing"),
        (grammar("start: \"我\" | \"们\""), "need one of '们', '我'"),
        (grammar(""), "the grammar"),
        (grammar("start: <|im_end|>"), "it names a special token"),
        (grammar("start: ["), "Expected token ']'"),
        (grammar("start: a\na: \"x\" & a\n"), "the grammar"),
        (grammar("root ::= root \"a\" | root"), "it has no text"),
        (grammar(r#"start: "a" %json {"type": "string", "maxLenght": 3}"#), "/maxLenght: there is no such keyword"),
        (grammar(r#"start: %json {"maxLength": 3, "maxLength": 30}"#), "it has the key \"maxLength\" twice"),
    ] {
        assert!(error.contains(says) && !error.contains('\n'), "{says}: {error}");
    }
    let schema = r#"{"type": "object", "properties": {"名": {"enum": ["名前", "ö"]}}, "required": ["名"]}"#;
    let grammar = Grammar::json_schema(&vocabulary, schema).unwrap();
    assert_eq!(grammar.unwritable().iter().collect::<String>(), "前名");
    let grammar = Grammar::regex(&vocabulary, "(a|我)[b一-龥]+|[名]").unwrap();
    assert_eq!(grammar.unwritable().iter().collect::<String>(), "名我");
    for grammar in ["start: \"a\" | /[我b]/ // 名\n", "root ::= \"a\" | [b我] # 名\n"] {
        let grammar = Grammar::parse(&vocabulary, grammar).unwrap();
        assert_eq!(grammar.unwritable().iter().collect::<String>(), "我");
    }
}

#[test]
fn a_text_that_cannot_go_on_says_what_it_needs() {
    let (tokenizer, vocabulary) = json_tokenizer(TokenizerKind::Character);
    let grammar = Grammar::parse(&vocabulary, "start: \"a\" \"b\"* \"我\"\n").unwrap();
    let model = &models(tokenizer.vocabulary())[2];
    for (_, config) in searches() {
        for one in model.write(&[0, 1], &config, 40, grammar.clone()).iter().flatten() {
            assert!(!one.is_finished(), "{one:?}");
        }
    }
    let tokens = tokenizer.encode("ab").unwrap();
    assert_eq!(grammar.needed_after(&tokens, true).unwrap(), "'b', '我'");
}

#[test]
fn a_row_is_the_same_alone_and_in_a_batch() {
    let (tokenizer, vocabulary) = json_tokenizer(TokenizerKind::Bpe);
    let schema = r#"{"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name"]}"#;
    let grammar = Grammar::json_schema(&vocabulary, schema).unwrap();
    for (search, config) in searches() {
        for model in models(tokenizer.vocabulary()) {
            let write = |rows: &[u64]| model.write(rows, &config, 60, grammar.clone());
            let rows: Vec<u64> = (0..24).collect();
            let together = write(&rows);
            for (row, found) in rows.iter().zip(&together) {
                let alone = write(&[*row]);
                let of = |found: &[Hypothesis]| -> Vec<(Vec<u32>, u64)> {
                    found.iter().map(|one| (one.tokens.clone(), one.score.to_bits())).collect()
                };
                assert_eq!(of(&alone[0]), of(found), "{search}, {}: row {row}", model.name);
            }
        }
    }
}
