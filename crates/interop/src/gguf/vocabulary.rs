//! The tokenizer as llama.cpp has it: one of byte pairs, of bytes ("gpt2") or of characters with bytes for those it lacks
//! ("llama").

use super::item::Item;
use crate::tokenizer::byte_pairs::{self, Bytes, QWEN2_CUT};
use crate::tokenizer::{self, sentencepiece};
use descant_text::{PostProcessor, SpecialTokens, Tokenizer};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// How Llama 3 cuts a text.
const LLAMA3_CUT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How Qwen 3.5 cuts a text.
const QWEN35_CUT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How Mistral's Tekken cuts a text.
const TEKKEN_CUT: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How GPT-4o cuts a text.
const GPT4O_CUT: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A way in which a text of bytes is cut before pairs are merged.
struct Cut {
    /// What llama.cpp calls it; the first is written.
    names: &'static [&'static str],
    bytes: Bytes<'static>,
    /// Whether llama.cpp puts BOS before a text where no key says so.
    begins: bool,
}

/// By no expression, it is cut as GPT-2 does.
const CUTS: [Cut; 8] = [
    cut(&["gpt-2", "olmo", "phi-2", "mpt", "jais", "trillion", "exaone4", "mellum", "gigachat"], None, false, false),
    cut(&["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"], None, true, false),
    cut(
        &["qwen2", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2", "kormo"],
        Some(QWEN2_CUT),
        false,
        false,
    ),
    Cut { begins: true, ..cut(&["llama-bpe", "llama3", "llama-v3", "falcon3", "lfm2"], Some(LLAMA3_CUT), false, true) },
    cut(&["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"], Some(LLAMA3_CUT), false, false),
    cut(&["tekken"], Some(TEKKEN_CUT), false, true),
    cut(&["gpt-4o", "llama4"], Some(GPT4O_CUT), false, false),
    cut(&["qwen35"], Some(QWEN35_CUT), false, false),
];

const fn cut(names: &'static [&'static str], expression: Option<&'static str>, digits: bool, whole_words: bool) -> Cut {
    Cut { names, bytes: Bytes { expression, digits, whole_words }, begins: false }
}

/// What ends a text wherever llama.cpp finds it among the tokens, besides those that keys name.
const END_NAMES: [&str; 14] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
];

/// What a key's value has to be.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Whole,
    Texts,
    Wholes,
    Numbers,
}

/// Keys that are read, and what each has to be.
const KINDS: [(&str, Kind); 18] = [
    ("general.architecture", Kind::Text),
    ("general.type", Kind::Text),
    ("split.count", Kind::Whole),
    ("tokenizer.chat_template", Kind::Text),
    ("tokenizer.ggml.model", Kind::Text),
    ("tokenizer.ggml.pre", Kind::Text),
    ("tokenizer.ggml.tokens", Kind::Texts),
    ("tokenizer.ggml.merges", Kind::Texts),
    ("tokenizer.ggml.token_type", Kind::Wholes),
    ("tokenizer.ggml.scores", Kind::Numbers),
    ("tokenizer.ggml.bos_token_id", Kind::Whole),
    ("tokenizer.ggml.eos_token_id", Kind::Whole),
    ("tokenizer.ggml.eot_token_id", Kind::Whole),
    ("tokenizer.ggml.eom_token_id", Kind::Whole),
    ("tokenizer.ggml.unknown_token_id", Kind::Whole),
    ("tokenizer.ggml.add_bos_token", Kind::Flag),
    ("tokenizer.ggml.add_eos_token", Kind::Flag),
    ("tokenizer.ggml.add_space_prefix", Kind::Flag),
];

/// That what is read beside the numbers of the model is of the kind that llama.cpp reads, and that the table of tokens, of so
/// many `rows`, is that of the vocabulary.
///
/// # Errors
/// The key that is not.
pub(super) fn check(values: &Map<String, Value>, rows: Option<usize>) -> Result<(), String> {
    let all = |value: &Value, is: fn(&Value) -> bool| value.as_array().is_some_and(|values| values.iter().all(is));
    for (key, kind) in KINDS {
        let Some(value) = values.get(key) else { continue };
        let (fits, expected) = match kind {
            Kind::Text => (value.is_string(), "a text"),
            Kind::Flag => (value.is_boolean(), "true or false"),
            Kind::Whole => (value.as_u64().is_some_and(|n| u32::try_from(n).is_ok()), "a whole number"),
            Kind::Texts => (all(value, Value::is_string), "a list of texts"),
            Kind::Wholes => (all(value, |n| n.is_i64() || n.is_u64()), "a list of whole numbers"),
            Kind::Numbers => (all(value, Value::is_number), "a list of numbers"),
        };
        if !fits {
            return Err(format!("{key}: expected {expected}"));
        }
    }
    let tokens = values.get("tokenizer.ggml.tokens").and_then(Value::as_array).map_or(0, Vec::len);
    match rows {
        Some(rows) if rows != tokens => Err(format!(
            "tokenizer.ggml.tokens has {tokens} entries, and the table of tokens {rows} rows: one of them is another model's"
        )),
        _ => Ok(()),
    }
}

/// Of a file, the `tokenizer.json` that its keys mean, and the special ids with those that the keys name. The lists of the
/// vocabulary, which may be large, are taken out of the values.
///
/// # Errors
/// The key that is missing, or has a value that is not known.
pub(super) fn read(values: &mut Map<String, Value>, special: SpecialTokens) -> Result<(Value, SpecialTokens), String> {
    let mut take = |name: &str| match values.remove(&format!("tokenizer.ggml.{name}")) {
        Some(Value::Array(list)) => Some(list),
        _ => None,
    };
    let scores = take("scores");
    let [tokens, types, merges] = ["tokens", "token_type", "merges"].map(|name| take(name).unwrap_or_default());
    let key = |name: &str| values.get(&format!("tokenizer.ggml.{name}"));
    let text = |name: &str| key(name).and_then(Value::as_str).unwrap_or_default();
    let tokens: Option<Vec<String>> = tokens.into_iter().map(owned).collect();
    let tokens = tokens.filter(|tokens| !tokens.is_empty()).ok_or("tokenizer.ggml.tokens: expected a list of texts")?;
    let kind = |id: usize| types.get(id).and_then(Value::as_i64).unwrap_or(Type::Normal as i64);
    let is = |id: usize, of: Type| kind(id) == of as i64;
    if !types.is_empty() && types.len() != tokens.len() {
        return Err(format!("tokenizer.ggml.token_type has {} entries, and tokens {}", types.len(), tokens.len()));
    }
    if tokens.iter().collect::<HashSet<_>>().len() != tokens.len() {
        return Err("tokenizer.ggml.tokens: a token is there twice".to_owned());
    }
    let is_added = |id: usize| is(id, Type::Control) || is(id, Type::UserDefined) || is(id, Type::Unknown);
    let added = (0..tokens.len()).filter(|&id| is_added(id));
    let added = added.map(|id| tokenizer::added(id as u32, &tokens[id], !is(id, Type::UserDefined))).collect();
    let id = |name: &str| key(name).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    let adds = |name: &str, otherwise: bool| key(name).and_then(Value::as_bool).unwrap_or(otherwise);
    let own_cut = CUTS.iter().find(|cut| cut.names.contains(&text("pre")));
    let begins = text("model") == "llama" || own_cut.is_some_and(|cut| cut.begins);
    let around = PostProcessor {
        prefix: special.bos.filter(|_| adds("add_bos_token", begins)).into_iter().collect(),
        suffix: special.first_eos().filter(|_| adds("add_eos_token", false)).into_iter().collect(),
    };
    let mut ends: Vec<u32> = special.eos.clone();
    ends.extend(["eot_token_id", "eom_token_id"].into_iter().filter_map(id));
    let named = (0_u32..).zip(&tokens).filter(|(id, token)| {
        END_NAMES.contains(&token.as_str()) && !is(*id as usize, Type::Normal) && !is(*id as usize, Type::Unused)
    });
    ends.extend(named.map(|(id, _)| id));
    let ends = ends.iter().enumerate().filter(|(i, id)| !ends[..*i].contains(id)).map(|(_, id)| *id).collect();
    let special = SpecialTokens {
        unknown: id("unknown_token_id").or(special.unknown),
        post_processor: Some(around),
        eos: ends,
        ..special
    };
    let json = match text("model") {
        "gpt2" => {
            let Some(Cut { names, bytes, .. }) = own_cut else {
                let known = CUTS.each_ref().map(|cut| cut.names[0]).join(", ");
                return Err(format!(
                    "tokenizer.ggml.pre = {:?}: known are {known}, and others that cut as these",
                    text("pre")
                ));
            };
            let pair = |merge: Value| {
                let (left, right) = merge.as_str()?.split_once(' ')?;
                Some([left.to_owned(), right.to_owned()])
            };
            let merges: Option<Vec<[String; 2]>> = merges.into_iter().map(pair).collect();
            let merges = merges.ok_or("tokenizer.ggml.merges: expected two parts of a token in each")?;
            let vocabulary: Map<String, Value> = tokens.into_iter().zip((0_u32..).map(Value::from)).collect();
            byte_pairs::json(bytes, names[0].starts_with("qwen"), vocabulary.into(), merges, added)
        }
        "llama" => {
            let scores = self::scores(scores, tokens.len())?;
            let unknown = special.unknown.and_then(|id| tokens.get(id as usize).cloned());
            let prefix = key("add_space_prefix").and_then(Value::as_bool).unwrap_or(true);
            // llama.cpp merges to tokens of any type; those that are added are cut out of a text before.
            let scored = (0..).zip(tokens).zip(scores);
            let scored: Vec<(String, Option<f32>)> =
                scored.map(|((id, token), score)| (token, (!is_added(id)).then_some(score))).collect();
            sentencepiece::llama(&scored, unknown.as_deref(), prefix, added)?
        }
        other => return Err(format!("tokenizer.ggml.model = {other:?}: known are \"gpt2\" and \"llama\"")),
    };
    Ok((json, special))
}

/// A score for each of so many tokens; as in llama.cpp, 0 where there are none.
///
/// # Errors
/// Where they are another number, or not numbers.
pub(super) fn scores(scores: Option<Vec<Value>>, tokens: usize) -> Result<Vec<f32>, String> {
    let Some(scores) = scores else { return Ok(vec![0.0; tokens]) };
    let scores: Option<Vec<f32>> = scores.iter().map(|score| score.as_f64().map(|score| score as f32)).collect();
    let scores = scores.ok_or("tokenizer.ggml.scores: expected a list of numbers")?;
    match scores.len() == tokens {
        true => Ok(scores),
        false => Err(format!("tokenizer.ggml.scores has {} entries, and tokens {tokens}", scores.len())),
    }
}

fn owned(text: Value) -> Option<String> {
    match text {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// What llama.cpp calls the way in which a tokenizer of bytes cuts a text; `None` where it has none such.
fn pre(tokenizer: &Value) -> Option<&'static str> {
    let bytes = Bytes::of(tokenizer)?;
    // One that takes words whole is cut as one that does not, where there is no other.
    let found = CUTS.iter().find(|cut| cut.bytes == bytes);
    let found =
        found.or_else(|| CUTS.iter().find(|cut| cut.bytes == Bytes { whole_words: cut.bytes.whole_words, ..bytes }));
    found.map(|cut| cut.names[0])
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

/// Each of these ends a text.
const END_KEYS: [&str; 3] = ["eos_token_id", "eot_token_id", "eom_token_id"];

/// The values of a tokenizer; a text begins with `before`, and where it is nothing with `bos`.
///
/// # Errors
/// Where it is of another kind.
pub(super) fn items(
    tokenizer: &Tokenizer,
    default_bos: Option<u32>,
    before: &[u32],
) -> Result<Vec<(String, Item)>, String> {
    let unfit = || {
        "llama.cpp has the tokenizers of GPT-2, SmolLM, Llama, Qwen2 and others that cut texts as these; this model's is another. Train with \
         tokenizer.kind = \"byte-bpe\", without split_digits"
            .to_owned()
    };
    let json = tokenizer.to_json().map_err(|error| error.to_string())?;
    let json: Value = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    let model = &json["model"];
    let of_bytes = json["pre_tokenizer"].to_string().contains("\"ByteLevel\"");
    let pre = pre(&json).filter(|_| json["normalizer"].is_null() || json["normalizer"]["type"] == "NFC");
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
    let SpecialTokens { unknown, bos, eos: ends, .. } = tokenizer.special();
    let after = tokenizer.special().post_processor.as_ref().map_or(&[][..], |around| &around.suffix);
    // Either one token or none: llama.cpp puts no other around a text.
    let flag = |around: &[u32], id: Option<u32>, side: &str| match around {
        [] => Ok(false),
        [one] if Some(*one) == id => Ok(true),
        others => {
            let names: Vec<String> = others.iter().filter_map(|&id| tokenizer.token(id)).collect();
            Err(format!("llama.cpp cannot put {names:?} {side} every text, as this model's tokenizer does"))
        }
    };
    if ends.len() > END_KEYS.len() {
        return Err(format!(
            "a file of llama.cpp names at most {} ends, and this model has {}",
            END_KEYS.len(),
            ends.len()
        ));
    }
    let first = before.first().copied().or(default_bos);
    let (adds_bos, adds_eos) = (flag(before, first, "before")?, flag(after, ends.first().copied(), "after")?);
    // Found in a text wherever they stand, which other tokens are not.
    let added: HashMap<u64, bool> = json["added_tokens"].as_array().map_or(HashMap::new(), |tokens| {
        tokens.iter().filter_map(|token| Some((token["id"].as_u64()?, token["special"] == true))).collect()
    });
    let kind = |id: u32, token: Option<&str>| match token {
        None => Type::Unused,
        _ if Some(id) == *unknown && !ends.contains(&id) => Type::Unknown,
        _ if ends.contains(&id) || Some(id) == *bos && tokenizer.is_special(id) => Type::Control,
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
        let scheme = space_before(&json).ok_or_else(unfit)?;
        if matches!(scheme, "first" | "always") {
            log::warn!(
                "llama.cpp puts a space also before a text that begins with one, and behind every control token: there it cuts \
                 other tokens than this tokenizer (Metaspace). A prompt that begins with a word is cut the same."
            );
        }
        add("add_space_prefix", Item::Flag(scheme != "never"));
    }
    add("tokens", Item::Texts(texts));
    add("token_type", Item::Numbers(types));
    first.into_iter().for_each(|id| add("bos_token_id", Item::Number(id)));
    for (key, &id) in END_KEYS.into_iter().zip(ends) {
        add(key, Item::Number(id));
    }
    unknown.iter().for_each(|&id| add("unknown_token_id", Item::Number(id)));
    add("add_bos_token", Item::Flag(adds_bos));
    add("add_eos_token", Item::Flag(adds_eos));
    Ok(items)
}

/// Before which texts this tokenizer of characters puts a space: "never", "first" or "always" as `Metaspace` says it,
/// "prepended" by a normalizer; `None` where more is done to a text than that.
fn space_before(json: &Value) -> Option<&str> {
    let steps = |part: &str, list: &str| -> Vec<&Value> {
        match &json[part] {
            Value::Null => Vec::new(),
            step => step[list].as_array().map_or_else(|| vec![step], |steps| steps.iter().collect()),
        }
    };
    let mut found = "never";
    for step in steps("normalizer", "normalizers") {
        match step["type"].as_str()? {
            "Prepend" => found = "prepended",
            "Replace" => {}
            _ => return None,
        }
    }
    for step in steps("pre_tokenizer", "pretokenizers") {
        match step["type"].as_str()? {
            "Metaspace" => found = step["prepend_scheme"].as_str()?,
            // Of Gemma: no space is left to cut at.
            "Split" if step["pattern"]["String"] == " " => {}
            _ => return None,
        }
    }
    Some(found)
}

/// Whether a token stands for a byte, such as `<0x0A>`.
fn is_byte(token: &str) -> bool {
    let digits = token.strip_prefix("<0x").and_then(|token| token.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}
