//! The field's terms are used: paraphrases that an expert would have to translate back fail here.

use super::sources::{files, root};
use std::fs;
use std::path::Path;

/// A paraphrase, and what it is called.
const PARAPHRASES: [(&str, &str); 34] = [
    ("held against", "compared with, checked against"),
    ("hold against", "compare with"),
    ("holds against", "compares with"),
    ("turned", "transposed; rotated"),
    ("carried back", "backpropagated"),
    ("carries back", "backpropagates"),
    ("carry back", "backpropagate"),
    ("computed again", "recomputed, rematerialised"),
    ("forgotten", "dropped; missing"),
    ("forgets", "drops"),
    ("remembers", "keeps, saves"),
    ("lies across", "is column-major, is transposed"),
    ("lie across", "are column-major, are transposed"),
    ("right side", "B, the right operand"),
    ("left side", "A, the left operand"),
    ("products", "GEMMs, matmuls"),
    ("letters", "characters"),
    ("beginning", "BOS; prefix, prompt; start"),
    ("beginnings", "BOS tokens; prefixes"),
    ("stands around", "the post-processor's special tokens"),
    ("stand around", "the post-processor's special tokens"),
    ("key heads", "kv_heads"),
    ("width of a head", "head_dim"),
    ("side by side", "concatenated; fused"),
    ("is told", "is reported"),
    ("are told", "are reported"),
    ("to be told", "to be reported; notes"),
    ("told of", "reported of"),
    ("wishes", "settings"),
    ("sines", "sinusoids"),
    ("what writes", "what generates"),
    ("marks of a", "role markers of a"),
    ("in its words", "in its terms"),
    ("knows by heart", "memorises"),
];

/// Where a word is the thing itself: keys of files, and letters of spellings.
fn is_meant(path: &Path, line: &str, word: &str) -> bool {
    let file = path.to_string_lossy();
    match word {
        // A key of `[tokenizer.special]`.
        "beginning" => {
            ["\"beginning\"", "`beginning`", "beginning =", "special.beginning"].iter().any(|key| line.contains(key))
        }
        // The name of a tensor in a file made by a script.
        "turned" => line.contains("read(\"turned\")"),
        "letters" => file.ends_with("WEIGHTS.md"),
        "products" => {
            ["dot products", "outer products", "inner products", "product data"].iter().any(|term| line.contains(term))
        }
        _ => false,
    }
}

#[test]
fn no_paraphrase_of_a_standard_term() {
    let root = root();
    let mut all: Vec<_> = ["rs", "toml"].iter().flat_map(|ending| files(&root.join("crates"), ending)).collect();
    all.extend(["rs", "toml"].iter().flat_map(|ending| files(&root.join("examples"), ending)));
    all.extend(files(&root.join("recipes"), "toml"));
    all.extend(
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "RECIPES.md", "WEIGHTS.md"].map(|name| root.join(name)),
    );
    // The words of the demo are those of the language that it speaks.
    let spoken = root.join("crates/spoken");
    let mut found = Vec::new();
    for path in all.iter().filter(|path| !path.starts_with(&spoken) && !path.ends_with("code/words.rs")) {
        for (number, line) in (1..).zip(fs::read_to_string(path).unwrap().lines()) {
            let lower = line.to_lowercase();
            for (word, term) in PARAPHRASES {
                if has_word(&lower, word) && !is_meant(path, line, word) {
                    let path = path.strip_prefix(&root).unwrap().display();
                    found.push(format!("{path}:{number}: \"{word}\", which is: {term}\n    {}", line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} paraphrases:\n{}", found.len(), found.join("\n"));
}

/// Whether words stand in a text as whole words.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(word)
        .any(|(at, _)| !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next()))
}
