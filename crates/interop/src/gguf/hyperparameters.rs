//! Sizes and numbers of a model: the keys of a file, and the `config.json` that they mean.

use super::architecture::{Architecture, Cap, Windows, is_windowed};
use super::item::{FACTORS, Item};
use crate::family::{FULL, SLIDING};
use crate::tensors::TensorFile;
use descant_models::ModelConfig;
use descant_nn::{RotaryScaling, TransformerConfig};
use serde_json::{Map, Value, json};

/// Their keys behind the architecture's name, and what `config.json` calls them: of GPT-2, and of the others.
const KEYS: [(&str, Option<&str>, Option<&str>); 9] = [
    ("context_length", Some("n_positions"), Some("max_position_embeddings")),
    ("embedding_length", Some("n_embd"), Some("hidden_size")),
    ("block_count", Some("n_layer"), Some("num_hidden_layers")),
    ("feed_forward_length", Some("n_inner"), Some("intermediate_size")),
    ("attention.head_count", Some("n_head"), Some("num_attention_heads")),
    ("attention.layer_norm_epsilon", Some("layer_norm_epsilon"), None),
    ("attention.layer_norm_rms_epsilon", None, Some("rms_norm_eps")),
    ("attn_logit_softcapping", None, Some("attn_logit_softcapping")),
    ("final_logit_softcapping", None, Some("final_logit_softcapping")),
];
/// Keys that are read beside the table, and those that say nothing where the others are as they have to be.
const KNOWN: [&str; 24] = [
    "vocab_size",
    "tensor_data_layout",
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.key_length_swa",
    "attention.value_length_swa",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "rope.dimension_count",
    "rope.dimension_count_swa",
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
];
/// Keys that have to have this value, false being 0 and true 1, as no model here has what another says.
const NEUTRAL: [(&str, f64); 9] = [
    ("expert_count", 0.0),
    ("expert_used_count", 0.0),
    ("pooling_type", 0.0),
    ("attention.causal", 1.0),
    ("attention.max_alibi_bias", 0.0),
    ("attention.clamp_kqv", 0.0),
    ("attention.scale", 0.0),
    ("rope.scaling.attn_factor", 1.0),
    ("rope.scaling.alpha", 0.0),
];
/// Tables in which a key that is not known may change what is computed.
const TABLES: [&str; 2] = ["attention.", "rope."];

/// What llama.cpp has for keys that are not there.
const ROTARY_BASE: f64 = 10_000.0;
const WINDOW: u64 = 4096;

/// Lengths that a scaling may have been made for.
const LENGTHS: [usize; 20] = {
    let mut lengths = [16; 20];
    let mut i = 1;
    while i < lengths.len() {
        lengths[i] = 2 * lengths[i - 1];
        i += 1;
    }
    lengths
};

/// The keys of a model of this file type, and notes for the user.
pub(super) fn write(
    architecture: &Architecture,
    model: &ModelConfig,
    numbers: u32,
) -> (Vec<(String, Item)>, Vec<String>) {
    let transformer = &model.transformer();
    let number = |n: usize| Item::Number(u32::try_from(n).unwrap_or(u32::MAX));
    let real = |x: f64| Item::Real(x as f32);
    let head = transformer.head_dim(model.hidden);
    let mut items = vec![
        ("general.architecture".to_owned(), Item::Text(architecture.name.to_owned())),
        ("general.file_type".to_owned(), Item::Number(numbers)),
    ];
    let mut notes = Vec::new();
    let mut add = |key: &str, item: Item| items.push((format!("{}.{key}", architecture.name), item));
    let ignored = transformer.window.filter(|_| !matches!(architecture.windows, Windows::AllBut(_)));
    let length = ignored.map_or(transformer.max_length, |window| window.min(transformer.max_length));
    if length < transformer.max_length {
        notes.push(format!(
            "llama.cpp has no window in {}, and this model's is model.transformer.window = {length}: the file says that it reads {length} \
             tokens ({}.context_length), within which they agree",
            architecture.name, architecture.name
        ));
    }
    add("context_length", number(length));
    add("embedding_length", number(model.hidden));
    add("block_count", number(model.layers));
    add("feed_forward_length", number(transformer.d_ff(model.hidden)));
    add("attention.head_count", number(transformer.heads));
    add("attention.head_count_kv", number(transformer.kv_heads()));
    let norm = if architecture.rotary { "attention.layer_norm_rms_epsilon" } else { "attention.layer_norm_epsilon" };
    add(norm, real(transformer.norm_epsilon));
    if architecture.rotary {
        add("attention.key_length", number(head));
        add("attention.value_length", number(head));
        add("rope.dimension_count", number(head));
        add("rope.freq_base", real(transformer.rotary_base));
    }
    if let Some(RotaryScaling::Llama3 { low, high, original_length, .. }) = transformer.rotary_scaling
        && !((low, high) == (1.0, 4.0) && LENGTHS.contains(&original_length))
    {
        notes.push(
            "a file holds no numbers of rotary_scaling but the factors that they give: llama.cpp reads this one, and descant cannot read it \
             again, whose low, high and original_length are not those of Llama 3.1 (1, 4 and a power of two)"
                .to_owned(),
        );
    }
    if let Some(RotaryScaling::Linear { factor }) = transformer.rotary_scaling {
        add("rope.scaling.type", Item::Text("linear".to_owned()));
        add("rope.scaling.factor", real(factor));
    }
    match architecture.windows {
        Windows::None => {}
        // As its own files have it; 0 is none.
        Windows::Named => add("attention.sliding_window", number(transformer.window.unwrap_or(0))),
        Windows::AllBut(_) => {
            let period = architecture.period(model.layers, transformer).unwrap_or(1);
            add("attention.sliding_window", number(transformer.window.unwrap_or(transformer.max_length)));
            add("attention.sliding_window_pattern", number(period));
            add("rope.freq_base_swa", real(transformer.local_rotary_base.unwrap_or(transformer.rotary_base)));
        }
    }
    let caps = [
        ("attn_logit_softcapping", transformer.attention_soft_cap),
        ("final_logit_softcapping", model.output_soft_cap),
    ];
    for (key, cap) in caps {
        cap.into_iter().for_each(|cap| add(key, real(cap)));
    }
    (items, notes)
}

/// The keys of a file behind its architecture's name.
struct Values<'a> {
    all: &'a Map<String, Value>,
    prefix: String,
}

impl Values<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.all.get(&format!("{}{key}", self.prefix)).filter(|value| !value.is_null())
    }

    fn is_other(&self, key: &str, expected: &str) -> String {
        format!("{}{key} = {}: expected {expected}", self.prefix, self.get(key).unwrap_or(&Value::Null))
    }

    fn number(&self, key: &str) -> Result<Option<u64>, String> {
        let number = |value: &Value| value.as_u64().ok_or_else(|| self.is_other(key, "a whole number"));
        self.get(key).map(number).transpose()
    }

    fn real(&self, key: &str) -> Result<Option<f64>, String> {
        let real = |value: &Value| value.as_f64().ok_or_else(|| self.is_other(key, "a number"));
        self.get(key).map(real).transpose()
    }
}

/// The `config.json` that the keys of a file mean, and notes for the user.
///
/// # Errors
/// The key that is missing or damaged, or says what no model here is.
pub(super) fn read(
    architecture: &Architecture,
    all: &Map<String, Value>,
    file: &mut TensorFile,
) -> Result<(Value, Vec<String>), String> {
    let values = &Values { all, prefix: format!("{}.", architecture.name) };
    let mut config = Map::new();
    let mut unread = Vec::new();
    values.number("vocab_size")?;
    for (key, value) in all.iter().filter_map(|(key, value)| Some((key.strip_prefix(&values.prefix)?, value))) {
        let theirs = KEYS.iter().find(|(known, ..)| *known == key);
        let neutral = NEUTRAL.iter().find(|(known, _)| *known == key);
        match (theirs.and_then(|&(_, first, second)| if architecture.rotary { second } else { first }), neutral) {
            (Some(name), _) => drop(config.insert(name.to_owned(), value.clone())),
            (None, Some(&(_, neutral))) => {
                let number = value.as_bool().map_or(value.as_f64(), |flag| Some(f64::from(u8::from(flag))));
                if number != Some(neutral) {
                    return Err(values.is_other(key, &format!("{neutral}, as no model here has anything like it")));
                }
            }
            (None, None) if KNOWN.contains(&key) => {}
            (None, None) if TABLES.iter().any(|table| key.starts_with(table)) => {
                let reason = "the key is not known, and may say what no model here is";
                return Err(format!("{}{key} = {value}: {reason}", values.prefix));
            }
            (None, None) => unread.push(format!("{}{key}", values.prefix)),
        }
    }
    for (key, theirs, others) in KEYS {
        let name = if architecture.rotary { others } else { theirs };
        let needed = !key.ends_with("softcapping") && name.is_some();
        if let Some(name) = name.filter(|name| needed && !config.contains_key(*name)) {
            return Err(format!("it has no {}{key} ({name})", values.prefix));
        }
    }
    config.insert("model_type".to_owned(), architecture.families[0].model_type().into());
    let tokens = all.get("tokenizer.ggml.tokens").and_then(Value::as_array).map_or(0, Vec::len);
    config.insert("vocab_size".to_owned(), tokens.into());
    for (theirs, ours) in [("bos", "bos_token_id"), ("eos", "eos_token_id")] {
        let key = format!("tokenizer.ggml.{theirs}_token_id");
        let id = all.get(&key).unwrap_or(&Value::Null);
        if !(id.is_null() || id.is_u64()) {
            return Err(format!("{key}: expected a token's id"));
        }
        config.insert(ours.to_owned(), id.clone());
    }
    let tied = file.is_tied("output.weight", "token_embd.weight").map_err(|error| error.to_string())?;
    config.insert("tie_word_embeddings".to_owned(), tied.into());
    attention(architecture, values, file, &mut config)?;
    let mut notes = Vec::new();
    let window = values.number("attention.sliding_window")?.filter(|&window| window > 0);
    match (architecture.windows, window) {
        (Windows::None, Some(window)) if architecture.name == "olmo2" => {
            return Err(format!(
                "olmo2.attention.sliding_window = {window}: OLMo 3 is not known, only OLMo 2 without one"
            ));
        }
        (Windows::None, Some(_)) => unread.push(format!("{}attention.sliding_window", values.prefix)),
        (Windows::Named, window) => drop(config.insert("sliding_window".to_owned(), json!(window))),
        (Windows::None, None) => {}
        (Windows::AllBut(period), _) => windows(values, period, &mut config)?,
    }
    if !unread.is_empty() {
        let reason = "llama.cpp computes nothing by them in this architecture";
        notes.push(format!("these keys are not read, as {reason}: {}", unread.join(", ")));
    }
    Ok((Value::Object(config), notes))
}

/// Heads and rotary positions: what is left out is as llama.cpp takes it then.
fn attention(
    architecture: &Architecture,
    values: &Values<'_>,
    file: &mut TensorFile,
    config: &mut Map<String, Value>,
) -> Result<(), String> {
    let (heads, width) =
        (values.number("attention.head_count")?.unwrap_or(1).max(1), values.number("embedding_length")?.unwrap_or(0));
    let key_heads = values.number("attention.head_count_kv")?.unwrap_or(heads);
    if !architecture.rotary {
        return match key_heads == heads {
            true => Ok(()),
            false => Err(values.is_other("attention.head_count_kv", &format!("{heads}, as there are heads"))),
        };
    }
    let head = values.number("attention.key_length")?.unwrap_or(width / heads);
    let same = ["attention.value_length", "attention.key_length_swa", "attention.value_length_swa"];
    for key in same.into_iter().chain(["rope.dimension_count", "rope.dimension_count_swa"]) {
        if values.number(key)?.is_some_and(|found| found != head) {
            return Err(values.is_other(key, &format!("{head}, the head_dim")));
        }
    }
    let base = values.real("rope.freq_base")?.unwrap_or(ROTARY_BASE);
    config.insert("num_key_value_heads".to_owned(), key_heads.into());
    config.insert("head_dim".to_owned(), head.into());
    config.insert("rope_theta".to_owned(), json!(base));
    let (heads, width, head) = (heads as usize, width as usize, head as usize);
    let layers = values.number("block_count")?.unwrap_or(0) as usize;
    if architecture.caps != [Cap::Never; 2] {
        let scalar = architecture.query_scalar(layers, width, heads, head);
        config.insert("query_pre_attn_scalar".to_owned(), scalar.into());
    }
    // Where there is none.
    if values.real("final_logit_softcapping")? == Some(0.0) && architecture.caps[1] == Cap::Maybe {
        config.insert("final_logit_softcapping".to_owned(), Value::Null);
    }
    let factor =
        values.real("rope.scaling.factor")?.or(values.real("rope.scale_linear")?).filter(|&factor| factor != 0.0);
    match values.get("rope.scaling.type").map(|kind| kind.as_str().unwrap_or_default()) {
        Some("none") => {}
        None | Some("linear") => {
            if let Some(factor) = factor.filter(|&factor| factor != 1.0) {
                config.insert("rope_scaling".to_owned(), json!({"rope_type": "linear", "factor": factor}));
            }
        }
        Some(_) => return Err(values.is_other("rope.scaling.type", "\"none\" or \"linear\"")),
    }
    if let Some(factors) = file.take(FACTORS).map_err(|error| error.to_string())? {
        config.insert("rope_scaling".to_owned(), llama3(&factors, base, head)?);
    }
    Ok(())
}

/// Which layers have a window, and their rotary base.
fn windows(values: &Values<'_>, usual: usize, config: &mut Map<String, Value>) -> Result<(), String> {
    let key = "attention.sliding_window_pattern";
    let layers = values.number("block_count")?.unwrap_or(0);
    // More than any model has: refused with the layers, before they are listed.
    let layers = usize::try_from(layers.min(1 << 16)).unwrap_or(0);
    let is_local: Vec<bool> = match values.get(key) {
        Some(Value::Array(kinds)) => {
            let kinds: Option<Vec<bool>> = kinds.iter().map(Value::as_bool).collect();
            kinds.ok_or_else(|| values.is_other(key, "a number, or true and false for each layer"))?
        }
        _ => {
            let period = values.number(key)?.map_or(usual, |period| usize::try_from(period).unwrap_or(usize::MAX));
            (0..layers).map(|layer| is_windowed(layer, period)).collect()
        }
    };
    // Gemma 2 has windows without the key, Gemma 3 none.
    let has_caps = values.prefix == "gemma2.";
    let window = values.number("attention.sliding_window")?.or(has_caps.then_some(WINDOW)).filter(|&window| window > 0);
    let kind = |&local: &bool| if local && window.is_some() { SLIDING } else { FULL };
    config.insert("layer_types".to_owned(), is_local.iter().map(kind).collect());
    config.insert("sliding_window".to_owned(), json!(window));
    let local = values.real("rope.freq_base_swa")?;
    match has_caps {
        false => drop(config.insert("rope_local_base_freq".to_owned(), json!(local.unwrap_or(ROTARY_BASE)))),
        true if local.is_some_and(|local| Some(local) != config["rope_theta"].as_f64()) => {
            return Err(values.is_other("rope.freq_base_swa", "the same as rope.freq_base"));
        }
        true => {}
    }
    Ok(())
}

/// The scaling of Llama 3.1 whose factors these are. A file does not say the lengths that they were made with.
fn llama3(factors: &[f32], base: f64, head: usize) -> Result<Value, String> {
    if factors.len() != head / 2 {
        return Err(format!("'{FACTORS}' has {} numbers, expected {}, half of head_dim", factors.len(), head / 2));
    }
    if let Some(wrong) = factors.iter().find(|factor| !(factor.is_finite() && **factor > 0.0)) {
        return Err(format!("'{FACTORS}' holds {wrong}: expected numbers above 0"));
    }
    let factor = f64::from(factors.iter().copied().fold(1.0, f32::max));
    let plain = TransformerConfig { rotary_base: base, head_dim: Some(head), ..TransformerConfig::default() };
    let frequencies = plain.frequencies(head);
    for original_length in LENGTHS {
        let (low, high) = (1.0, 4.0);
        let scaling = RotaryScaling::Llama3 { factor, low, high, original_length };
        let scaled = TransformerConfig { rotary_scaling: Some(scaling), ..plain.clone() }.frequencies(head);
        let same = |((plain, scaled), factor): ((&f64, &f64), &f32)| {
            (plain / scaled - f64::from(*factor)).abs() <= 1e-4 * f64::from(*factor)
        };
        if frequencies.iter().zip(&scaled).zip(factors).all(same) {
            return Ok(json!({
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
                "original_max_position_embeddings": original_length,
            }));
        }
    }
    Err(format!("'{FACTORS}' is no scaling of Llama 3.1 with low_freq_factor 1 and high_freq_factor 4"))
}
