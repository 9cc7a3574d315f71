//! The tokenizer as llama.cpp has it: one of byte pairs, of bytes ("gpt2") or of characters with bytes for those it lacks
//! ("llama").

use super::Item;
use descant_text::{Special, Tokenizer};
use serde_json::Value;
use std::collections::HashMap;

/// How the families cut a text before pairs are merged, and what llama.cpp calls that.
const CUTS: [(&str, &str); 2] = [
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "llama-bpe",
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "qwen2",
    ),
];

/// What llama.cpp calls the way in which this pre-tokenizer of bytes cuts a text; `None` where it has none such.
fn cut(pre_tokenizer: &Value) -> Option<&'static str> {
    let steps = match pre_tokenizer["pretokenizers"].as_array() {
        Some(steps) => steps.iter().collect(),
        None => vec![pre_tokenizer],
    };
    match steps[..] {
        [bytes] if bytes["type"] == "ByteLevel" && bytes["use_regex"] != false => Some("gpt-2"),
        [split, bytes] if split["type"] == "Split" && bytes["type"] == "ByteLevel" && bytes["use_regex"] == false => {
            let pattern = split["pattern"]["Regex"].as_str()?;
            CUTS.iter().find(|(known, _)| *known == pattern).map(|(_, name)| *name)
        }
        _ => None,
    }
}

/// What a token is to llama.cpp.
#[derive(Clone, Copy)]
enum Type {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// The values of a tokenizer; a text begins with `before`, and where it is nothing with `bos`.
///
/// # Errors
/// Where it is of another kind.
pub(super) fn items(tokenizer: &Tokenizer, bos: Option<u32>, before: &[u32]) -> Result<Vec<(String, Item)>, String> {
    let unfit = || {
        "llama.cpp has the tokenizers of GPT-2, Llama and Qwen2; this model's is another. Train with \
         tokenizer.kind = \"byte-bpe\", without split_digits"
            .to_owned()
    };
    let json = tokenizer.to_json().map_err(|error| error.to_string())?;
    let json: Value = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    let model = &json["model"];
    let of_bytes = json["pre_tokenizer"].to_string().contains("\"ByteLevel\"");
    let pre =
        cut(&json["pre_tokenizer"]).filter(|_| json["normalizer"].is_null() || json["normalizer"]["type"] == "NFC");
    if model["type"] != "BPE" || if of_bytes { pre.is_none() } else { model["byte_fallback"] != true } {
        return Err(unfit());
    }
    let merges: Vec<[String; 2]> = model["merges"].as_array().map_or(Vec::new(), |merges| {
        let pair = |merge: &Value| match merge {
            Value::String(text) => text.split_once(' ').map(|(a, b)| [a.to_owned(), b.to_owned()]),
            pair => Some([pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()]),
        };
        merges.iter().filter_map(pair).collect()
    });
    let Special { unknown, beginning, ends, .. } = tokenizer.special();
    let after = tokenizer.special().around.as_ref().map_or(&[][..], |around| &around.after);
    // Either one token or none: llama.cpp puts no other around a text.
    let flag = |around: &[u32], id: Option<u32>, side: &str| match around {
        [] => Ok(false),
        [one] if Some(*one) == id => Ok(true),
        others => {
            let names: Vec<String> = others.iter().filter_map(|&id| tokenizer.token(id)).collect();
            Err(format!("llama.cpp cannot put {names:?} {side} every text, as this model's tokenizer does"))
        }
    };
    let bos = before.first().copied().or(bos);
    let (adds_bos, adds_eos) = (flag(before, bos, "before")?, flag(after, ends.first().copied(), "after")?);
    // Found in a text wherever they stand, which other tokens are not.
    let added: HashMap<u64, bool> = json["added_tokens"].as_array().map_or(HashMap::new(), |tokens| {
        tokens.iter().filter_map(|token| Some((token["id"].as_u64()?, token["special"] == true))).collect()
    });
    let kind = |id: u32, token: Option<&str>| match token {
        None => Type::Unused,
        _ if Some(id) == *unknown && !ends.contains(&id) => Type::Unknown,
        _ if ends.contains(&id) || Some(id) == *beginning && tokenizer.is_special(id) => Type::Control,
        _ if added.get(&id.into()) == Some(&true) => Type::Control,
        _ if added.get(&id.into()) == Some(&false) => Type::UserDefined,
        Some(token) if !of_bytes && is_byte(token) => Type::Byte,
        Some(_) => Type::Normal,
    };
    let entries = u32::try_from(tokenizer.vocabulary()).unwrap_or(u32::MAX);
    let tokens: Vec<Option<String>> = (0..entries).map(|id| tokenizer.token(id)).collect();
    let types = (0..).zip(&tokens).map(|(id, token)| kind(id, token.as_deref()) as i32).collect();
    let texts =
        (0..).zip(&tokens).map(|(id, token)| token.clone().unwrap_or_else(|| format!("<unused {id}>"))).collect();

    let mut items = Vec::new();
    let mut add = |key: &str, item: Item| items.push((format!("tokenizer.ggml.{key}"), item));
    add("model", Item::Text(if of_bytes { "gpt2" } else { "llama" }.to_owned()));
    if let Some(pre) = pre.filter(|_| of_bytes) {
        add("pre", Item::Text(pre.to_owned()));
        add("merges", Item::Texts(merges.iter().map(|pair| pair.join(" ")).collect()));
    } else {
        // The pair that was merged first goes first.
        let ranks: HashMap<String, usize> =
            merges.iter().enumerate().rev().map(|(rank, pair)| (pair.concat(), rank)).collect();
        let score = |token: &Option<String>| {
            token.as_ref().and_then(|token| ranks.get(token)).map_or(0.0, |&rank| -(rank as f32))
        };
        add("scores", Item::Reals(tokens.iter().map(score).collect()));
        let metaspace = &json["pre_tokenizer"];
        let prepends = metaspace["type"] == "Metaspace" && metaspace["prepend_scheme"] != "never";
        add("add_space_prefix", Item::Flag(prepends || json["normalizer"].to_string().contains("\"Prepend\"")));
    }
    add("tokens", Item::Texts(texts));
    add("token_type", Item::Numbers(types));
    bos.into_iter().for_each(|id| add("bos_token_id", Item::Number(id)));
    // Each of these ends a text.
    for (key, &id) in ["eos_token_id", "eot_token_id", "eom_token_id"].into_iter().zip(ends) {
        add(key, Item::Number(id));
    }
    unknown.iter().for_each(|&id| add("unknown_token_id", Item::Number(id)));
    add("add_bos_token", Item::Flag(adds_bos));
    add("add_eos_token", Item::Flag(adds_eos));
    Ok(items)
}

/// Whether a token stands for a byte, such as `<0x0A>`.
fn is_byte(token: &str) -> bool {
    let digits = token.strip_prefix("<0x").and_then(|token| token.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}
