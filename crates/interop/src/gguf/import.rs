//! Reads GGUF files: the keys become the `config.json` of a family, and the tensors those of its folder.

use super::{name, vocabulary};
use crate::family::Described;
use crate::foreign::{Foreign, Layout};
use crate::template::of_text;
use crate::tensors::{Tensor, TensorFile, gguf};
use crate::tokenizer::Settings;
use crate::weights::Weights;
use crate::{Error, Family};
use descant_generate::Ranking;
use descant_nn::{RotaryScaling, TransformerConfig};
use descant_text::{TokenizerConfig, open_file};
use descant_train::{GenerationConfig, Recipe, Tokenizers};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Their architectures, and the families that they are.
const ARCHITECTURES: [(&str, &str); 3] = [("gpt2", "gpt2"), ("llama", "llama"), ("qwen2", "qwen2")];

/// Their keys behind the architecture's name, and what `config.json` calls them: of GPT-2, and of the others.
const KEYS: [(&str, Option<&str>, Option<&str>); 9] = [
    ("context_length", Some("n_positions"), Some("max_position_embeddings")),
    ("embedding_length", Some("n_embd"), Some("hidden_size")),
    ("block_count", Some("n_layer"), Some("num_hidden_layers")),
    ("feed_forward_length", Some("n_inner"), Some("intermediate_size")),
    ("attention.head_count", Some("n_head"), Some("num_attention_heads")),
    ("attention.head_count_kv", None, Some("num_key_value_heads")),
    ("attention.key_length", None, Some("head_dim")),
    ("attention.layer_norm_epsilon", Some("layer_norm_epsilon"), None),
    ("attention.layer_norm_rms_epsilon", None, Some("rms_norm_eps")),
];

/// Keys that say again what others say, or what is checked beside the table.
const KNOWN: [&str; 8] = [
    "vocab_size",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.type",
    "rope.scaling.factor",
];

/// The factors of rotary frequencies, as Llama 3.1 has them.
const FACTORS: &str = "rope_freqs.weight";

/// The model of a file of llama.cpp.
///
/// # Errors
/// Where it is damaged, of another architecture, or says something that no model here is.
pub(crate) fn open(path: &Path) -> Result<Foreign, Error> {
    let wrong = |reason: String| Error::folder(path, reason);
    let mut file = open_file(path).map_err(|error| Error::io("read", path, error))?;
    let (values, tensors) = gguf::head(&mut file).map_err(|error| wrong(error.to_string()))?;
    let mut file = TensorFile::of(path, file, tensors)?;
    let config = config(&values, &mut file).map_err(wrong)?;
    let Described { family, model, special, .. } = Family::read(&config).map_err(wrong)?;
    let (json, special) = vocabulary::read(&values, special).map_err(wrong)?;
    let tokenizer = descant_text::Tokenizer::from_json(json.to_string().as_bytes(), Some(special.clone()));
    let tokenizer = tokenizer.map_err(|error| wrong(error.to_string()))?;
    let recipe = Recipe {
        tokenizer: TokenizerConfig { special: Some(special.clone()), ..TokenizerConfig::default() },
        generation: GenerationConfig { ranking: Ranking::Tokens, ..GenerationConfig::default() },
        ..Recipe::of(model)
    };
    let names: HashMap<String, String> =
        family.pieces(&recipe.model).into_iter().map(|piece| (name(&piece.theirs), piece.theirs)).collect();
    let transformer = recipe.model.transformer();
    let head = transformer.head_width(recipe.model.hidden);
    file.rename(|tensor| as_in_folder(tensor, family, &names, head));
    let tokenizers = Tokenizers { source: None, target: Arc::new(tokenizer) };
    let chat = values.get("tokenizer.chat_template").and_then(Value::as_str);
    let settings = Settings::none(path);
    let chat = chat.map(|text| of_text(path, text, &settings, &tokenizers.target)).transpose()?;
    let weights = Weights::of_file(path, file);
    Ok(Foreign { layout: Layout::Gguf(family), recipe, tokenizers, chat, notes: Vec::new(), weights })
}

/// The `config.json` that the keys mean.
fn config(values: &Map<String, Value>, file: &mut TensorFile) -> Result<Value, String> {
    let architecture = values.get("general.architecture").and_then(Value::as_str).unwrap_or_default();
    let Some((_, family)) = ARCHITECTURES.iter().find(|(known, _)| *known == architecture) else {
        let known = ARCHITECTURES.map(|(known, _)| known).join(", ");
        return Err(format!("general.architecture = {architecture:?}: known are {known}"));
    };
    let gpt2 = *family == "gpt2";
    let mut config = Map::new();
    let prefix = format!("{architecture}.");
    for (key, value) in values.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value))) {
        let theirs = KEYS.iter().find(|(known, ..)| *known == key);
        match theirs.and_then(|&(_, first, second)| if gpt2 { first } else { second }) {
            Some(name) => drop(config.insert(name.to_owned(), value.clone())),
            None if KNOWN.contains(&key) => {}
            None => {
                return Err(format!(
                    "{prefix}{key} = {value}: the key is not known, and may say what no model here is"
                ));
            }
        }
    }
    let at = |key: &str| values.get(&format!("{prefix}{key}")).filter(|value| !value.is_null());
    let number = |key: &str| match at(key) {
        None => Ok(None),
        Some(value) => {
            value.as_u64().map(Some).ok_or_else(|| format!("{prefix}{key} = {value}: expected a whole number"))
        }
    };
    let tokens = values.get("tokenizer.ggml.tokens").and_then(Value::as_array).map_or(0, Vec::len);
    config.insert("model_type".to_owned(), (*family).into());
    config.insert("vocab_size".to_owned(), tokens.into());
    for (theirs, ours) in [("bos", "bos_token_id"), ("eos", "eos_token_id")] {
        if let Some(id) = values.get(&format!("tokenizer.ggml.{theirs}_token_id")) {
            config.insert(ours.to_owned(), id.clone());
        }
    }
    let (heads, width) =
        (number("attention.head_count")?.unwrap_or(1).max(1), number("embedding_length")?.unwrap_or(0));
    let head = number("attention.key_length")?.unwrap_or(width / heads);
    for (key, expected) in [("attention.value_length", head), ("rope.dimension_count", head)] {
        if let Some(found) = number(key)?.filter(|found| !gpt2 && *found != expected) {
            return Err(format!("{prefix}{key} = {found}: expected {expected}, the width of a head"));
        }
    }
    if gpt2 && number("attention.head_count_kv")?.is_some_and(|found| found != heads) {
        return Err(format!("{prefix}attention.head_count_kv: expected {heads}, as there are heads"));
    }
    if let Some(base) = at("rope.freq_base").filter(|_| !gpt2) {
        config.insert("rope_theta".to_owned(), base.clone());
    }
    match at("rope.scaling.type").and_then(Value::as_str) {
        None | Some("none") => {}
        Some("linear") => {
            let factor = at("rope.scaling.factor").cloned().unwrap_or(json!(1.0));
            config.insert("rope_scaling".to_owned(), json!({"rope_type": "linear", "factor": factor}));
        }
        Some(other) => return Err(format!("{prefix}rope.scaling.type = {other:?}: known are \"none\" and \"linear\"")),
    }
    if let Some(factors) = file.take(FACTORS).map_err(|error| error.to_string())? {
        let base = config.get("rope_theta").and_then(Value::as_f64).unwrap_or(10_000.0);
        config.insert("rope_scaling".to_owned(), llama3(&factors, base, head as usize)?);
    }
    let tied = file.is_tied("output.weight", "token_embd.weight").map_err(|error| error.to_string())?;
    config.insert("tie_word_embeddings".to_owned(), tied.into());
    Ok(Value::Object(config))
}

/// The scaling of Llama 3.1 whose factors these are. A file does not say the lengths that they were made with.
fn llama3(factors: &[f32], base: f64, head: usize) -> Result<Value, String> {
    let factor = f64::from(factors.iter().copied().fold(1.0, f32::max));
    let plain = TransformerConfig { rotary_base: base, head_width: Some(head), ..TransformerConfig::default() };
    for original_length in (4..24).map(|power| 1 << power) {
        let (low, high) = (1.0, 4.0);
        let scaling = RotaryScaling::Llama3 { factor, low, high, original_length };
        let scaled = TransformerConfig { rotary_scaling: Some(scaling), ..plain.clone() }.frequencies(head);
        let same = |((plain, scaled), factor): ((&f64, &f64), &f32)| {
            (plain / scaled - f64::from(*factor)).abs() <= 1e-4 * f64::from(*factor)
        };
        let frequencies = plain.frequencies(head);
        if frequencies.len() == factors.len() && frequencies.iter().zip(&scaled).zip(factors).all(same) {
            return Ok(json!({
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
                "original_max_position_embeddings": original_length,
            }));
        }
    }
    Err(format!("'{FACTORS}' is no scaling of Llama 3.1 with low_freq_factor 1 and high_freq_factor 4"))
}

/// A tensor under its name in a folder of the family, its numbers in the order that they have there.
fn as_in_folder(tensor: &mut Tensor, family: Family, names: &HashMap<String, String>, head: usize) {
    // What has no place there keeps its name, and is told by it.
    let Some(theirs) = names.get(&tensor.name) else { return };
    let [rows, columns] = tensor.shape[..] else {
        tensor.name.clone_from(theirs);
        return;
    };
    let is_rotated = [".attn_q.weight", ".attn_k.weight"].iter().any(|end| tensor.name.ends_with(end));
    if family == Family::Llama && is_rotated && head >= 2 && rows % head == 0 {
        // Of each head, the rows 0, half, 1, half + 1, … are those of its two halves in turn.
        tensor.view = Some(vec![(rows / head, head * columns), (2, columns), (head / 2, 2 * columns), (columns, 1)]);
    }
    if family == Family::Gpt2 && theirs.starts_with("transformer.h.") {
        // There they are [in, out].
        tensor.shape = vec![columns, rows];
        tensor.view = Some(vec![(columns, 1), (rows, columns)]);
    }
    tensor.name.clone_from(theirs);
}
