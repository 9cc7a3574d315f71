//! Byte pairs as GPT-2 and Qwen2 have them without a `tokenizer.json`: entries with their ids in `vocab.json`, and merges
//! line by line in `merges.txt`. Added tokens are in `tokenizer_config.json`.

use super::{Settings, added, declared};
use crate::folder::{MERGES, VOCABULARY, read_if, read_json};
use crate::gguf::QWEN2_CUT;
use crate::{Error, Family};
use descant_text::{Special, Tokenizer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The tokenizer of the two files of a folder.
///
/// # Errors
/// Where one is damaged, or they do not fit together.
pub(super) fn read(folder: &Path, family: Family, settings: &Settings, special: Special) -> Result<Tokenizer, Error> {
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
                return Err(Error::folder(&place, format!("line {number} is {line:?}, expected two parts of a token")));
            }
        }
    }
    let qwen2 = family == Family::Qwen2;
    let added = added_tokens(settings, &vocabulary, &special)?;
    let json = json(qwen2.then_some(QWEN2_CUT), qwen2, &vocabulary, &pairs, added);
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes(), Some(special));
    let names = || format!("{} and {MERGES} cannot be read", folder.join(VOCABULARY).display());
    tokenizer.map_err(|error| Error::folder(folder, format!("{}: {error}", names())))
}

/// The `tokenizer.json` of byte pairs. A text is cut by an expression, or as GPT-2 does.
pub(crate) fn json(
    cut: Option<&str>,
    compose: bool,
    vocabulary: &Value,
    merges: &[[impl AsRef<str>; 2]],
    added: Vec<Value>,
) -> Value {
    let bytes =
        |regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex});
    let pre_tokenizer = match cut {
        Some(cut) => {
            let split = json!({"type": "Split", "pattern": {"Regex": cut}, "behavior": "Isolated", "invert": false});
            json!({"type": "Sequence", "pretokenizers": [split, bytes(false)]})
        }
        None => bytes(true),
    };
    let normalizer = compose.then(|| json!({"type": "NFC"}));
    let merges: Vec<[&str; 2]> = merges.iter().map(|[left, right]| [left.as_ref(), right.as_ref()]).collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": bytes(true),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": merges,
        },
    })
}

/// The tokens that are found in a text by their names: those of `tokenizer_config.json`, and the special ones.
fn added_tokens(settings: &Settings, vocabulary: &Value, special: &Special) -> Result<Vec<Value>, Error> {
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
