//! Byte pairs as GPT-2 and Qwen2 have them without a `tokenizer.json`: entries with their ids in `vocab.json`, and merges
//! line by line in `merges.txt`. Added tokens are in `tokenizer_config.json`.

use super::{Settings, added, declared};
use crate::folder::{MERGES, VOCABULARY, read_if, read_json};
use crate::{Error, Family};
use descant_text::{SpecialTokens, Tokenizer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// How Qwen2 cuts a text.
pub(crate) const QWEN2_CUT: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The tokenizer of the two files of a folder.
///
/// # Errors
/// Where one is damaged, or they do not fit together.
pub(super) fn read(
    folder: &Path,
    family: Family,
    settings: &Settings,
    special: SpecialTokens,
) -> Result<Tokenizer, Error> {
    let vocabulary = read_json(&folder.join(VOCABULARY))?;
    let place = folder.join(MERGES);
    let merges = String::from_utf8(read_if(&place)?.unwrap_or_default());
    let merges = merges.map_err(|error| Error::folder(&place, format!("it is not UTF-8: {error}")))?;
    let mut pairs = Vec::new();
    for (number, line) in (1..).zip(merges.lines()) {
        match line.split_once(' ') {
            _ if line.is_empty() || number == 1 && line.starts_with("#version") => {}
            Some((left, right)) if !right.contains(' ') => pairs.push([left, right]),
            _ => {
                let shown: String = line.chars().take(60).collect();
                return Err(Error::folder(
                    &place,
                    format!("line {number} is {shown:?}, expected two parts of a token"),
                ));
            }
        }
    }
    let qwen2 = family == Family::Qwen2;
    let added = added_tokens(settings, &vocabulary, &special)?;
    let bytes = Bytes { expression: qwen2.then_some(QWEN2_CUT), ..Bytes::default() };
    let json = json(&bytes, qwen2, vocabulary, pairs, added);
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes(), Some(special));
    let names = || format!("{} and {MERGES} cannot be read", folder.join(VOCABULARY).display());
    tokenizer.map_err(|error| Error::folder(folder, format!("{}: {error}", names())))
}

/// How a text is cut before pairs of its bytes are merged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Bytes<'a> {
    /// By this expression, or as GPT-2 does.
    pub(crate) expression: Option<&'a str>,
    /// Whether each digit is apart.
    pub(crate) digits: bool,
    /// Whether a word that is an entry is one whatever the merges.
    pub(crate) whole_words: bool,
}

impl<'a> Bytes<'a> {
    /// How a `tokenizer.json` cuts a text; `None` where it does so in another way.
    pub(crate) fn of(tokenizer: &'a Value) -> Option<Self> {
        let pre_tokenizer = &tokenizer["pre_tokenizer"];
        let steps = match pre_tokenizer["pretokenizers"].as_array() {
            Some(steps) => steps.iter().collect(),
            None => vec![pre_tokenizer],
        };
        let is_bytes = |step: &Value, regex: bool| {
            // llama.cpp puts no space before a text of bytes.
            let fits = step["type"] == "ByteLevel" && step["add_prefix_space"] != true;
            fits && (step["use_regex"] != false) == regex
        };
        let (expression, digits) = match steps[..] {
            [bytes] if is_bytes(bytes, true) => (None, false),
            [digits, bytes] if digits["type"] == "Digits" && is_bytes(bytes, true) => {
                (digits["individual_digits"] == true).then_some((None, true))?
            }
            [split, bytes] if split["type"] == "Split" && is_bytes(bytes, false) => {
                (Some(split["pattern"]["Regex"].as_str()?), false)
            }
            _ => return None,
        };
        Some(Self { expression, digits, whole_words: tokenizer["model"]["ignore_merges"] == true })
    }
}

/// The `tokenizer.json` of byte pairs.
pub(crate) fn json<T: Into<String>>(
    cut: &Bytes<'_>,
    compose: bool,
    vocabulary: Value,
    merges: Vec<[T; 2]>,
    added: Vec<Value>,
) -> Value {
    let bytes =
        |regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex});
    let split =
        |cut: &str| json!({"type": "Split", "pattern": {"Regex": cut}, "behavior": "Isolated", "invert": false});
    let steps = match (cut.expression, cut.digits) {
        (Some(cut), _) => vec![split(cut), bytes(false)],
        (None, true) => vec![json!({"type": "Digits", "individual_digits": true}), bytes(true)],
        (None, false) => vec![bytes(true)],
    };
    let pre_tokenizer = match &steps[..] {
        [one] => one.clone(),
        steps => json!({"type": "Sequence", "pretokenizers": steps}),
    };
    let normalizer = compose.then(|| json!({"type": "NFC"}));
    let merge = |pair: [T; 2]| Value::Array(pair.map(|part| Value::String(part.into())).into());
    let mut file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": bytes(true),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": cut.whole_words,
        },
    });
    // `json!` would copy them.
    file["model"]["vocab"] = vocabulary;
    file["model"]["merges"] = merges.into_iter().map(merge).collect();
    file
}

/// The tokens that are found in a text by their names: those of `tokenizer_config.json`, and the special ones.
fn added_tokens(settings: &Settings, vocabulary: &Value, special: &SpecialTokens) -> Result<Vec<Value>, Error> {
    let mut tokens: BTreeMap<u32, Value> = BTreeMap::new();
    for (token, id) in vocabulary.as_object().into_iter().flatten() {
        let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
        if let Some(id) = id.filter(|id| special.ids().any(|special| special == *id)) {
            tokens.insert(id, added(id, token, true));
        }
    }
    tokens.extend(declared(settings)?);
    Ok(tokens.into_values().collect())
}
