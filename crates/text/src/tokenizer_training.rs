//! Trains tokenizers with the trainers of `tokenizers`, so that the same text always gives the same vocabulary: what those
//! leave to the order of a hash map is brought into a fixed order here.

mod entries;
mod sample;
pub(crate) mod spaces;
mod subwords;
mod unigram;

use crate::TextError;
use crate::read_text;
use crate::tokenizer::{SPECIAL, TokenizerConfig, TokenizerKind};
use entries::{most_frequent, numbered, special, symbols_alone, with_special};
use sample::Sample;
use serde_json::{Value, json};
use spaces::{ESCAPE, ESCAPED_ESCAPE, ESCAPED_SPACE, SPACE, escapes};
use std::collections::HashMap;
use std::path::Path;
use subwords::{Alphabet, pairs, wordpiece};
use tokenizers::decoders::DecoderWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{ModelWrapper, NormalizerWrapper, Result, Tokenizer};
use unigram::unigram;

/// Trains a tokenizer of the given kind.
pub(crate) fn train(
    config: &TokenizerConfig,
    continuous: bool,
    texts: impl Iterator<Item = String> + Send,
) -> Result<Tokenizer> {
    let mut tokenizer = untrained(config, continuous)?;
    let TokenizerConfig { kind, vocabulary, .. } = *config;
    let room = vocabulary - SPECIAL.len();
    match kind {
        TokenizerKind::Bpe => {
            let sample = Sample::of(texts);
            pairs(&mut tokenizer, config, &Alphabet::of(&sample, config, room)?, &sample.texts)?;
        }
        TokenizerKind::ByteBpe => pairs(&mut tokenizer, config, &Alphabet::bytes(), &Sample::of(texts).texts)?,
        TokenizerKind::Wordpiece => {
            let sample = Sample::of(texts);
            // Each character is an entry at the start of a word, and another one within.
            let alphabet = Alphabet::of(&sample, config, (room / 2).max(1))?;
            pairs(&mut tokenizer, config, &alphabet, &sample.texts)?;
            wordpiece(&mut tokenizer, &alphabet, vocabulary)?;
        }
        TokenizerKind::Unigram => {
            let sample = Sample::of(texts);
            let alphabet = Alphabet::of(&sample, config, room)?;
            let model = unigram(&tokenizer, &config.add, &alphabet, vocabulary, &sample.texts)?;
            tokenizer.with_model(model);
        }
        TokenizerKind::Word => {
            let words = match &config.vocabulary_file {
                Some(path) => listed(path)?,
                None => {
                    let mut counts: HashMap<String, u64> = HashMap::new();
                    for text in Sample::of(texts).texts {
                        text.split_whitespace().for_each(|word| *counts.entry(word.to_owned()).or_default() += 1);
                    }
                    counts.retain(|word, _| !SPECIAL.contains(&word.as_str()));
                    most_frequent(counts.into_iter().collect(), config)?
                }
            };
            tokenizer.with_model(serde_json::from_value::<ModelWrapper>(json!({
                "type": "WordLevel", "vocab": numbered(with_special(words)), "unk_token": SPECIAL[0],
            }))?);
        }
        TokenizerKind::Character => {
            let characters = Sample::of(texts).characters().into_iter();
            let characters =
                most_frequent(characters.map(|(character, count)| (character.to_string(), count)).collect(), config)?;
            tokenizer.with_model(symbols_alone(with_special(characters))?);
        }
        TokenizerKind::Byte => {
            texts.for_each(drop);
            let mut bytes: Vec<String> = ByteLevel::alphabet().into_iter().map(String::from).collect();
            bytes.sort_unstable();
            tokenizer.with_model(symbols_alone(with_special(bytes))?);
        }
    }
    tokenizer.add_special_tokens(special())?;
    Ok(tokenizer)
}

/// A tokenizer of this kind with an empty vocabulary.
fn untrained(config: &TokenizerConfig, continuous: bool) -> Result<Tokenizer> {
    let kind = config.kind;
    let model = match kind {
        TokenizerKind::Word => json!({"type": "WordLevel", "vocab": {}, "unk_token": SPECIAL[0]}),
        _ => json!({"type": "BPE", "vocab": {}, "merges": [], "unk_token": SPECIAL[0]}),
    };
    // `▁` stands for the space before a word; a line's first word has one too, so that it is the same word anywhere.
    let scheme = if continuous { "never" } else { "first" };
    let spaces = || json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": true});
    let punctuation =
        || json!({"type": "Split", "pattern": {"Regex": words()}, "behavior": "Isolated", "invert": false});
    let bytes = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": kind == TokenizerKind::ByteBpe,
    });
    let replace = |pattern: String, by: &str| json!({"type": "Replace", "pattern": {"String": pattern}, "content": by});
    let decoder_of_spaces = |first: Vec<Value>| {
        let last = [
            spaces(),
            json!({"type": "Fuse"}),
            replace([ESCAPE, ESCAPED_SPACE].iter().collect(), &SPACE.to_string()),
            replace([ESCAPE, ESCAPED_ESCAPE].iter().collect(), &ESCAPE.to_string()),
        ];
        let decoders = [&first[..], &last[..]].concat();
        json!({"type": "Sequence", "decoders": decoders})
    };
    let (pre_tokenizer, decoder) = match kind {
        TokenizerKind::Bpe | TokenizerKind::Unigram => {
            (json!({"type": "Sequence", "pretokenizers": [spaces(), punctuation()]}), decoder_of_spaces(Vec::new()))
        }
        TokenizerKind::ByteBpe | TokenizerKind::Byte => (bytes.clone(), bytes),
        TokenizerKind::Wordpiece => {
            let characters =
                json!({"type": "Split", "pattern": {"Regex": r"\p{Han}"}, "behavior": "Isolated", "invert": false});
            let inner = json!({"type": "Replace", "pattern": {"Regex": "^##"}, "content": ""});
            (
                json!({"type": "Sequence", "pretokenizers": [spaces(), punctuation(), characters]}),
                decoder_of_spaces(vec![inner]),
            )
        }
        TokenizerKind::Word => (json!({"type": "WhitespaceSplit"}), Value::Null),
        TokenizerKind::Character => (Value::Null, json!({"type": "Fuse"})),
    };
    let pre_tokenizer = match config.split_digits && kind.is_subword() {
        true => {
            let digits = json!({"type": "Digits", "individual_digits": true});
            let parts = pre_tokenizer["pretokenizers"].as_array().cloned().unwrap_or_else(|| vec![pre_tokenizer]);
            let parts: Vec<Value> = parts.into_iter().chain([digits]).collect();
            json!({"type": "Sequence", "pretokenizers": parts})
        }
        false => pre_tokenizer,
    };
    let mut tokenizer = Tokenizer::new(serde_json::from_value::<ModelWrapper>(model)?);
    if kind.marks_spaces() {
        tokenizer.with_normalizer(serde_json::from_value::<Option<NormalizerWrapper>>(escapes(continuous))?)?;
    }
    tokenizer.with_pre_tokenizer(serde_json::from_value::<Option<PreTokenizerWrapper>>(pre_tokenizer)?);
    tokenizer.with_decoder(serde_json::from_value::<Option<DecoderWrapper>>(decoder)?);
    Ok(tokenizer)
}

/// A word, or a punctuation mark, which stands apart so that a word at the end of a sentence is the same word as elsewhere.
///
/// An apostrophe or a middle dot within a word is of it (don't, col·lecció), by the rules WB6 and WB7 of Unicode Standard Annex 29.
/// Their full stop and colon are not: these part sentences that no space parts, too.
fn words() -> String {
    let marks = r"\p{P}$+<=>^`|~";
    let letter = r"\p{L}\p{M}*";
    let middle = "['‘’＇·\u{387}\u{55F}\u{5F4}‧]";
    format!("(?:{letter}(?:{middle}{letter})+|[^{marks}])+|[{marks}]")
}

/// The words of a list, one a line.
fn listed(path: &Path) -> std::result::Result<Vec<String>, TextError> {
    let text = read_text(path).map_err(|error| TextError::io("read the list of words", path, error))?;
    let mut lines: HashMap<&str, usize> = HashMap::new();
    let mut words = Vec::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{FEFF}').lines()) {
        let wrong = |reason: String| TextError::Example { path: path.to_owned(), line: number as u64, reason };
        if line.trim().is_empty() {
            return Err(wrong("it is empty. A list of words has one word a line".to_owned()));
        }
        if line.contains(char::is_whitespace) {
            return Err(wrong(format!("{line:?} has white space in it, at which words part in a text")));
        }
        if SPECIAL.contains(&line) {
            return Err(wrong(format!("{line:?} is a control token of every tokenizer. Leave it out")));
        }
        if let Some(first) = lines.insert(line, number) {
            return Err(wrong(format!("{line:?} is line {first} too")));
        }
        words.push(line.to_owned());
    }
    match words.is_empty() {
        true => Err(TextError::Empty { path: path.to_owned() }),
        false => Ok(words),
    }
}
