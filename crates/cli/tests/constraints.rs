//! Constraints on generated texts, by the real binary.

mod common;

use common::Folder;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// Runs that write digits: an encoder-decoder, a Transformer, and a language model.
fn runs() -> Folder {
    let folder = Folder::new();
    folder.train("pairs.toml", "pairs", 30);
    folder.train("transformer.toml", "transformer", 30);
    folder.train("lm.toml", "lm", 20);
    folder
}

const SOURCES: [&str; 4] = ["123", "4567", "89", "22222"];
const MODES: [&[&str]; 3] = [&["--greedy"], &["--beam", "4"], &["--sample", "--seed", "3"]];

#[test]
fn every_text_is_what_the_flags_say() {
    let (folder, three) = (runs(), Regex::new("^[0-9]{3}$").unwrap());
    for run in ["pairs", "transformer"] {
        for mode in MODES {
            let generate = |flags: &[&str]| {
                let arguments = [&["generate", run, "--max-new-tokens", "12"][..], mode, flags, &SOURCES].concat();
                folder.succeed(&arguments).lines().map(str::to_owned).collect::<Vec<_>>()
            };
            let told = format!("{run}, {mode:?}");
            assert!(generate(&["--regex", "[0-9]{3}"]).iter().all(|text| three.is_match(text)), "{told}");
            // A word of its own, in a vocabulary without a space.
            assert!(generate(&["--must-include", "345"]).iter().all(|text| text == "345"), "{told}");
            assert!(generate(&["--prefix", "97"]).iter().all(|text| text.starts_with("97")), "{told}");
        }
    }
    for mode in MODES {
        let generate = |flags: &[&str]| {
            folder.succeed(&[&["generate", "lm", "line 3", "--max-new-tokens", "60"][..], mode, flags].concat())
        };
        let text = generate(&["--must-include", "violet|blue", "--must-include", "says", "--must-exclude", "red"]);
        assert!(text.contains("blue") && text.contains("says") && !text.contains("red"), "{mode:?}: {text}");
        let text = generate(&["--must-exclude", "red|green"]);
        assert!(!text.contains("red") && !text.contains("green"), "{mode:?}: {text}");
        let text = generate(&["--must-include", "green", "--must-include", "line", "--in-order"]);
        assert!(text.rfind("line") > text.find("green") && text.contains("green"), "{mode:?}: {text}");
    }
    folder.write("even.gbnf", "root ::= pair+\npair ::= [0-4] [5-9]\n");
    let text = folder.succeed(&["generate", "pairs", "123", "--grammar", "even.gbnf", "--max-new-tokens", "9"]);
    assert!(Regex::new("^([0-4][5-9])*[0-4]?$").unwrap().is_match(text.trim_end()), "{text}");
}

/// Grammars of lines, with what their texts have to match; none for those that are refused, with what is said of them.
const GRAMMARS: [(&str, Result<&str, &str>); 18] = [
    (r#"{"regex": "[0-9]{3}"}"#, Ok("^[0-9]{3}$")),
    (r#"{"type": "integer", "minimum": 20, "maximum": 29}"#, Ok("^2[0-9]$")),
    (r#"{"json_schema": {"const": 77}}"#, Ok("^77$")),
    (r#""{\"enum\": [5, 6]}""#, Ok("^[56]$")),
    (r#""root ::= [0-4] [5-9]""#, Ok("^[0-4][5-9]$")),
    (r#"{"grammar": "start: \"1\" /[23]/"}"#, Ok("^1[23]$")),
    (r#"{"regex": "["}"#, Err("the regular expression")),
    (r#"{"regex": 7}"#, Err("its \"regex\" is no text")),
    ("[1]", Err("expected an object, true, false or a text")),
    ("\"start: [\"", Err("the grammar")),
    (r#"{"type": "array"}"#, Err("'['")),
    (
        r#"{"regx": "[a-z]"}"#,
        Err("it has \"regx\": expected one of \"json_schema\", \"regex\" and \"grammar\", or a JSON schema"),
    ),
    (r#"{"type": "integer", "minium": 20}"#, Err("did you mean minimum?")),
    (
        r#"{"json_schema": {"type": "integer", "minium": 20}}"#,
        Err("/minium: there is no such keyword (did you mean minimum?)"),
    ),
    ("true", Ok("^[0-9]+$")),
    ("\"true\"", Ok("^[0-9]+$")),
    ("false", Err("nsatisfiable")),
    ("\" \"", Err("it is empty")),
];

#[test]
fn each_line_may_have_a_grammar_of_its_own() {
    let folder = runs();
    let line = |(i, grammar): (usize, &str)| format!("{{\"id\": {i}, \"text\": \"123\", \"shape\": {grammar}}}\n");
    // Twice, so that the second half meets grammars that are known.
    let twice = GRAMMARS.iter().chain(&GRAMMARS);
    let mut lines: String = twice.clone().map(|(grammar, _)| *grammar).enumerate().map(line).collect();
    lines += "{\"text\": \"123\"}\n{\"text\": \"123\", \"shape\": null}\n";
    folder.write("in.jsonl", &lines);
    for (run, mode) in [("pairs", MODES[0]), ("pairs", MODES[1]), ("pairs", MODES[2]), ("transformer", MODES[1])] {
        let flags = ["--input", "in.jsonl", "--output", "out.jsonl", "--overwrite", "--max-new-tokens", "12"];
        let arguments = [&["generate", run, "--grammar-field", "shape"][..], &flags, mode].concat();
        let parts =
            ["21 lines were not answered, the first of them line 7: its \"shape\": ", "The others were answered"];
        folder.fail(&arguments, &parts);
        let written = fs::read_to_string(folder.path("out.jsonl")).unwrap();
        let found: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (found, (grammar, expected)) in found.iter().zip(twice.clone()) {
            let (text, error) = (found["text"].as_str(), found["error"].as_str());
            match expected {
                Ok(regex) => assert!(Regex::new(regex).unwrap().is_match(text.unwrap()), "{grammar}: {found}"),
                Err(part) => {
                    let error = error.unwrap();
                    assert!(error.starts_with("its \"shape\"") && error.contains(part), "{grammar}: {error}");
                }
            }
        }
        assert!(found[36]["error"].as_str().unwrap().contains("it has no \"shape\""), "{}", found[36]);
        // Without a grammar, as without the flag.
        let free = folder.succeed(&[&["generate", run, "123", "--json", "--max-new-tokens", "12"][..], mode].concat());
        let free: Value = serde_json::from_str(free.trim()).unwrap();
        if !mode.contains(&"--sample") {
            assert_eq!([&found[37]["text"], &found[37]["score"]], [&free["text"], &free["score"]], "{run}, {mode:?}");
        }
    }
    folder.write("in.txt", "123\n");
    let field = ["generate", "pairs", "--grammar-field", "shape"];
    folder.fail(&[&field[..], &["--input", "in.txt"]].concat(), &["--grammar-field shape", ".jsonl"]);
}

#[test]
fn equal_texts_come_once() {
    let folder = Folder::new();
    let subwords = ["--set", "tokenizer={kind='bpe',vocabulary=90}", "--set", "data.stream=false"];
    let train = ["train", "lm.toml", "--run", "subwords", "--quiet", "--set", "train.steps=60"];
    folder.succeed(&[&train[..], &subwords].concat());
    let texts = |options: &[&str]| {
        let output = folder.run(&[&["generate", "subwords", "line 1 says"][..], options].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        let lines = String::from_utf8(output.stdout).unwrap();
        let texts = lines.lines().filter_map(|line| line.split_once('\t').map(|(_, text)| text.to_owned()));
        (texts.filter(|text| !text.is_empty()).collect::<Vec<_>>(), lines.lines().count(), told)
    };
    // `red` may be written as `r`, `ed` too.
    let (mut found, lines, _) = texts(&["--regex", " (red|blue)", "--num-beams", "8", "--n-best", "8"]);
    found.sort();
    assert_eq!((found, lines), (vec!["line 1 says blue".to_owned(), "line 1 says red".to_owned()], 8));
    for search in [&["--greedy"][..], &["--num-beams", "4"]] {
        let asked = ["--regex", " (red|rest|blue|green)", "--return-alternatives", "--n-best", "9"];
        let (found, lines, _) = texts(&[&asked[..], search].concat());
        let each: BTreeSet<&String> = found.iter().collect();
        assert!(each.len() == found.len() && found.len() > 1 && lines == 9, "{found:?}");
    }
    // Those of a search without constraints are what it found, and that is reported.
    let (found, lines, told) = texts(&["--num-beams", "3000", "--n-best", "3000", "--max-new-tokens", "2"]);
    let each: BTreeSet<&String> = found.iter().collect();
    assert!(each.len() < found.len() && lines == 3000, "{}", found.len());
    assert!(told.contains("1 line has equal texts among the best, the first line 1"), "{told}");
    let samples = ["--sample", "--top-k", "2", "--regex", " (red|blue)", "--n-best", "9"];
    let (found, _, told) = texts(&samples);
    assert!(found.len() == 9 && !told.contains("equal texts"), "{found:?} {told}");
}

#[test]
fn terms_of_the_sources_are_counted() {
    let folder = runs();
    let told = |texts: &[&str], terms: &str| {
        folder.write("terms.tsv", terms);
        let flags = ["--terms", "terms.tsv", "--num-beams", "4"];
        folder.told(&[&["generate", "pairs"][..], texts, &flags].concat())
    };
    let (one, two) = ("123\t321\n", "123\t321\n456\t654\n");
    for (texts, terms, says) in [
        (&["123"][..], two, "the sources have 1 of 2 terms, and not, for example, \"456\"."),
        (&["123", "456"], two, "the sources have all of the 2 terms."),
        (&["12", "1234"], two, "the sources have none of the 2 terms."),
        (&["123"], one, "the sources have its term."),
        (&["12"], one, "the sources do not have its term."),
    ] {
        let told = told(texts, terms);
        assert!(told.contains(&format!("--terms: {says}")), "{texts:?} {told}");
    }
}

#[test]
fn what_cannot_be_written_is_told() {
    let folder = runs();
    folder.write("broken.lark", "start: [");
    folder.write("terms.tsv", "a term without a translation\n");
    let cases: [(&str, &[&str], &[&str]); 15] = [
        ("pairs", &["--regex", "["], &["--regex"]),
        ("pairs", &["--json-schema", ""], &["--json-schema: it is empty"]),
        ("pairs", &["--json-schema", "false"], &["nsatisfiable"]),
        ("pairs", &["--json-schema", "[]"], &["a schema is an object, true or false"]),
        ("pairs", &["--json-schema", "missing.json"], &["cannot read missing.json"]),
        ("pairs", &["--json-schema", "{\"type\": 5}"], &["--json-schema"]),
        ("pairs", &["--json-schema", "{\"minium\": 5}"], &["--json-schema", "/minium", "did you mean minimum?", "x-"]),
        ("pairs", &["--grammar", "broken.lark"], &["--grammar"]),
        ("pairs", &["--must-include", "x"], &["--must-include", "x"]),
        // Words that nothing can part.
        ("pairs", &["--must-include", "12", "--must-include", "34"], &["\"12\", \"34\"", "nothing to part words"]),
        ("lm", &["--must-include", "green and blue", "--max-new-tokens", "3"], &["green and blue"]),
        ("pairs", &["--must-include", "12", "--must-exclude", "12"], &["\"12\" is required and has \"12\" in it"]),
        ("pairs", &["--terms", "terms.tsv"], &["--terms terms.tsv", "line 1"]),
        ("lm", &["--terms", "terms.tsv"], &["for encoder-decoders", "--must-include"]),
        ("lm", &["--prefix", "1"], &["for encoder-decoders"]),
    ];
    for (run, flags, parts) in cases {
        folder.fail(&[&["generate", run, "123"], flags].concat(), parts);
    }
    let any = folder.succeed(&["generate", "pairs", "123", "--json-schema", "true", "--max-new-tokens", "9"]);
    assert!(Regex::new("^[0-9]+$").unwrap().is_match(any.trim_end()), "{any}");
    // Brackets are in no text that it learnt from: of some texts of a grammar, or of all.
    folder.fail(&["generate", "pairs", "123", "--json-schema", "{\"type\": \"array\"}"], &["--json-schema", "'['"]);
    let told = folder.told(&["generate", "pairs", "123", "--regex", "1[x]|2+"]);
    assert!(told.contains("the vocabulary cannot write 'x'. A text that needs it cannot be finished."), "{told}");
    folder.write("some.gbnf", "root ::= \"1\" [xy] | [2]+\n");
    let told = folder.told(&["generate", "pairs", "123", "--grammar", "some.gbnf"]);
    assert!(told.contains("--grammar: the vocabulary cannot write 'x', 'y'"), "{told}");
    let lines = ["{\"regex\": \"[2]+\"}", "{\"regex\": \"1x|2+\"}", "\"start: /[2z]/\""];
    folder.write("in.jsonl", lines.map(|shape| format!("{{\"text\": \"123\", \"shape\": {shape}}}\n")).concat());
    let told = folder.told(&["generate", "pairs", "--input", "in.jsonl", "--grammar-field", "shape"]);
    let expected =
        "2 grammars have parts without effect, or that cannot be written. Line 2: the vocabulary cannot write 'x'";
    assert!(told.contains(expected), "{told}");
    folder.write("two.jsonl", "{\"text\": \"123\", \"shape\": {\"regex\": \"2\", \"json_schema\": {}}}\n");
    let two = ["generate", "pairs", "--input", "two.jsonl", "--grammar-field", "shape"];
    folder.fail(&two, &["\"shape\"", "\"json_schema\" beside other keys"]);
}
