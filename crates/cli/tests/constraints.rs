//! Constraints on generated texts, by the real binary.

mod common;

use common::Folder;
use regex::Regex;

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
        let text = generate(&["--must-include", "green", "--must-include", "line", "--in-order"]);
        assert!(text.rfind("line") > text.find("green") && text.contains("green"), "{mode:?}: {text}");
    }
    folder.write("even.gbnf", "root ::= pair+\npair ::= [0-4] [5-9]\n");
    let text = folder.succeed(&["generate", "pairs", "123", "--grammar", "even.gbnf", "--max-new-tokens", "9"]);
    assert!(Regex::new("^([0-4][5-9])*[0-4]?$").unwrap().is_match(text.trim_end()), "{text}");
}

#[test]
fn what_cannot_be_written_is_told() {
    let folder = runs();
    folder.write("broken.lark", "start: [");
    folder.write("terms.tsv", "a term without a translation\n");
    let cases: [(&str, &[&str], &[&str]); 11] = [
        ("pairs", &["--regex", "["], &["--regex"]),
        ("pairs", &["--json-schema", "missing.json"], &["cannot read missing.json"]),
        ("pairs", &["--json-schema", "{\"type\": 5}"], &["--json-schema"]),
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
    // Brackets are in no text that it learnt from: of some texts of a grammar, or of all.
    folder.fail(&["generate", "pairs", "123", "--json-schema", "{\"type\": \"array\"}"], &["--json-schema", "'['"]);
    let told = folder.told(&["generate", "pairs", "123", "--regex", "1[x]|2+"]);
    assert!(told.contains("the vocabulary cannot write 'x'"), "{told}");
}
