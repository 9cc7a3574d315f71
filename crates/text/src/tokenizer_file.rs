//! What a `tokenizer.json` must be before `tokenizers` reads it: known components with bounded parameters, and ids that
//! fit together. `tokenizers` itself panics, aborts or allocates without bound on some others.

mod charsmap;
mod read;
mod vocabulary;

pub(crate) use charsmap::Charsmap;
pub(crate) use read::tokenizer;

use crate::{TextError, read_file};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use vocabulary::{Merges, Vocabulary};

/// The most bytes of a token.
pub const LONGEST_TOKEN: usize = 4096;
/// The most bytes of what components look for: an expression may name all pieces that are cut out whole.
const LONGEST_PATTERN: usize = 1 << 16;
/// The most bytes that components put in.
const LONGEST_PART: usize = 64;
/// How many times longer than a text its normalization may be.
const GROWTH: usize = 64;
/// The most components in all sequences together.
const MOST_COMPONENTS: usize = 64;
/// The most entries of a vocabulary.
const MOST_ENTRIES: usize = 1 << 22;
/// The most prefixes of pieces: `tokenizers` keeps a table for each. 262,144 pieces that are as long as any have a million.
const MOST_NODES: usize = 1 << 21;
/// The most characters that WordPiece takes for a word: its time grows with their cube.
const LONGEST_WORD: u64 = 1000;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
    model: Model,
}

/// An added token, and the id that it is to have.
#[derive(Debug, Deserialize)]
pub(crate) struct Added {
    pub(crate) id: u32,
    pub(crate) content: String,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Vocabulary,
    merges: Option<Merges>,
    dropout: Option<f64>,
    unk_id: Option<u64>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    max_input_chars_per_word: Option<u64>,
}

/// What a file says of its ids.
#[derive(Debug)]
pub(crate) struct Ids {
    /// The highest of the model's own vocabulary, and its token.
    pub(crate) highest: (u32, String),
    pub(crate) added: Vec<Added>,
}

/// Reads a file strictly.
///
/// # Errors
/// The component or key, its value, and what is expected.
pub(crate) fn check(bytes: &[u8]) -> Result<Ids, String> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut count = 0;
    let mut growth = 1;
    let sections = [
        (&NORMALIZER, &file.normalizer),
        (&PRE_TOKENIZER, &file.pre_tokenizer),
        (&POST_PROCESSOR, &file.post_processor),
        (&DECODER, &file.decoder),
    ];
    for (section, value) in sections {
        if let Some(value) = value {
            section.check(value, &mut count, &mut growth)?;
        }
    }
    file.model.check()?;
    match file.added_tokens.iter().find(|added| added.content.is_empty() || added.content.len() > LONGEST_TOKEN) {
        Some(added) => Err(format!(
            "added_tokens: the content of {} has {} bytes, expected 1 to {LONGEST_TOKEN}",
            added.id,
            added.content.len()
        )),
        None => Ok(Ids { highest: file.model.vocab.highest, added: file.added_tokens }),
    }
}

/// The bytes of a file from elsewhere: a regular one, of bounded size.
///
/// # Errors
/// Where it is none, or the system refuses.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TextError> {
    read_file(path).map_err(|error| TextError::io("read", path, error))
}

impl Model {
    fn check(&self) -> Result<(), String> {
        let kind = self.kind.as_deref().unwrap_or(if self.merges.is_some() { "BPE" } else { "WordPiece" });
        let vocab = &self.vocab;
        let wrong = |key: &str, value: &dyn std::fmt::Display, expected: &str| {
            Err(format!("model.{key} = {value}: expected {expected}"))
        };
        if !["BPE", "WordPiece", "WordLevel", "Unigram"].contains(&kind) {
            return wrong("type", &format!("{kind:?}"), "BPE, WordPiece, WordLevel or Unigram");
        }
        if vocab.scored != (kind == "Unigram") {
            let expected = if vocab.scored { "tokens with their ids" } else { "pieces with their scores" };
            return Err(format!("model.vocab: expected {expected}, as {kind} has"));
        }
        if vocab.entries == 0 || vocab.entries > MOST_ENTRIES {
            return wrong("vocab", &format!("{} entries", vocab.entries), "1 or more, up to 4 million");
        }
        if vocab.longest > LONGEST_TOKEN {
            return Err(format!("model.vocab: a token has {} bytes, expected at most {LONGEST_TOKEN}", vocab.longest));
        }
        if let Some((first, second)) = &vocab.twice {
            return Err(format!("model.vocab: {first:?} and {second:?} have one id"));
        }
        if vocab.nodes > MOST_NODES {
            return Err(format!(
                "model.vocab: its pieces are too long and too many: they have {} different prefixes, expected at most {MOST_NODES}",
                vocab.nodes
            ));
        }
        let (highest, token) = &vocab.highest;
        if *highest as usize >= MOST_ENTRIES {
            return Err(format!("model.vocab: {token:?} has the id {highest}, expected below {MOST_ENTRIES}"));
        }
        if let Some(dropout) = self.dropout.filter(|&dropout| dropout != 0.0) {
            return wrong("dropout", &dropout, "null, as a text would be other tokens each time");
        }
        if let Some(id) = self.unk_id.filter(|&id| id >= vocab.entries as u64) {
            return wrong("unk_id", &id, &format!("one of the {} entries", vocab.entries));
        }
        let texts = [
            ("unk_token", &self.unk_token, LONGEST_TOKEN),
            ("continuing_subword_prefix", &self.continuing_subword_prefix, LONGEST_PART),
            ("end_of_word_suffix", &self.end_of_word_suffix, LONGEST_PART),
        ];
        for (key, text, most) in texts {
            if let Some(text) = text.as_ref().filter(|text| text.len() > most) {
                return wrong(key, &format!("a text of {} bytes", text.len()), &format!("at most {most}"));
            }
        }
        match self.max_input_chars_per_word {
            Some(most) if kind == "WordPiece" && !(1..=LONGEST_WORD).contains(&most) => {
                wrong("max_input_chars_per_word", &most, &format!("1 to {LONGEST_WORD}"))
            }
            _ => Ok(()),
        }
    }
}

/// A part of the file whose components are looked at.
struct Section {
    name: &'static str,
    /// Where a `Sequence` has its components.
    sequence: &'static str,
    known: &'static [&'static str],
}

const NORMALIZER: Section = Section {
    name: "normalizer",
    sequence: "normalizers",
    known: &[
        "Bert",
        "BertNormalizer",
        "Strip",
        "StripAccents",
        "NFC",
        "NFD",
        "NFKC",
        "NFKD",
        "Sequence",
        "Lowercase",
        "Nmt",
        "Precompiled",
        "Replace",
        "Prepend",
        "ByteLevel",
    ],
};
const PRE_TOKENIZER: Section = Section {
    name: "pre_tokenizer",
    sequence: "pretokenizers",
    known: &[
        "BertPreTokenizer",
        "ByteLevel",
        "CharDelimiterSplit",
        "Delimiter",
        "Metaspace",
        "Whitespace",
        "Sequence",
        "Split",
        "Punctuation",
        "WhitespaceSplit",
        "Digits",
        "UnicodeScripts",
        "FixedLength",
    ],
};
const POST_PROCESSOR: Section = Section {
    name: "post_processor",
    sequence: "processors",
    known: &["RobertaProcessing", "BertProcessing", "ByteLevel", "TemplateProcessing", "Sequence"],
};
const DECODER: Section = Section {
    name: "decoder",
    sequence: "decoders",
    known: &[
        "BPEDecoder",
        "ByteLevel",
        "WordPiece",
        "Metaspace",
        "CTC",
        "Sequence",
        "Replace",
        "Fuse",
        "Strip",
        "ByteFallback",
    ],
};

impl Section {
    /// `count` components were there before, and make a text up to `growth` times as long.
    fn check(&self, value: &Value, count: &mut usize, growth: &mut usize) -> Result<(), String> {
        let name = self.name;
        *count += 1;
        if *count > MOST_COMPONENTS {
            return Err(format!("{name}: it has more than {MOST_COMPONENTS} components"));
        }
        let kind = value.get("type").and_then(Value::as_str).ok_or_else(|| format!("{name}: expected a type"))?;
        if !self.known.contains(&kind) {
            return Err(format!("{name}: the type {kind:?} is not known"));
        }
        let place = format!("{name} {kind}");
        let number = |key: &str, least: u64, most: u64| match value.get(key) {
            Some(found) if !found.as_u64().is_some_and(|number| (least..=most).contains(&number)) => {
                Err(format!("{place}: {key} = {found}: expected a whole number from {least} to {most}"))
            }
            _ => Ok(()),
        };
        let text = |key: &str, most: usize| match value.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() <= most => Ok(Some(text.as_str())),
            Some(Value::String(text)) => {
                Err(format!("{place}: {key} has {} bytes, expected at most {most}", text.len()))
            }
            Some(_) => Err(format!("{place}: {key}: expected a text")),
        };
        match kind {
            "Sequence" => {
                let parts = value.get(self.sequence).and_then(Value::as_array);
                let parts = parts.ok_or_else(|| format!("{place}: expected a list of {}", self.sequence))?;
                parts.iter().try_for_each(|part| self.check(part, count, growth))?;
            }
            "Replace" => {
                let looked_for = pattern(&place, value)?;
                let content = text("content", LONGEST_PART)?.unwrap_or_default();
                *growth = growth.saturating_mul(content.len().div_ceil(looked_for).max(1));
                if *growth > GROWTH {
                    return Err(format!("{place}: it makes texts more than {GROWTH} times as long"));
                }
            }
            "Split" => drop(pattern(&place, value)?),
            "Prepend" => drop(text("prepend", LONGEST_PART)?),
            "Precompiled" => {
                let base64 = value.get("precompiled_charsmap").and_then(Value::as_str).unwrap_or_default();
                Charsmap::read(base64).map_err(|reason| format!("{place}: precompiled_charsmap: {reason}"))?;
            }
            "FixedLength" => number("length", 1, 1 << 16)?,
            "Strip" if self.name == DECODER.name => {
                // More than 0 at the end is looked for in texts that are shorter, too.
                number("start", 0, LONGEST_PART as u64)?;
                number("stop", 0, 0)?;
            }
            "BPEDecoder" => drop(text("suffix", LONGEST_PART)?),
            "WordPiece" => drop(text("prefix", LONGEST_PART)?),
            "CTC" => drop((text("pad_token", LONGEST_PART)?, text("word_delimiter_token", LONGEST_PART)?)),
            _ => {}
        }
        Ok(())
    }
}

/// The fewest bytes that a pattern matches: 1 of a regular expression, which is tried later.
fn pattern(place: &str, value: &Value) -> Result<usize, String> {
    let find = |key: &str| value.get("pattern").and_then(|pattern| pattern.get(key)).and_then(Value::as_str);
    let (text, least) = match (find("String"), find("Regex")) {
        (Some(text), None) => (text, text.len()),
        (None, Some(regex)) => (regex, 1),
        _ => return Err(format!("{place}: pattern: expected a String or a Regex")),
    };
    match text.len() {
        1..=LONGEST_PATTERN => Ok(least),
        other => Err(format!("{place}: pattern has {other} bytes, expected 1 to {LONGEST_PATTERN}")),
    }
}

#[cfg(test)]
mod tests;
