//! Language models of Llama's kind. What sets the families apart is [`Traits`].

use super::{Family, model};
use crate::config_keys::{Keys, activation, activation_name};
use crate::tensor_names::{TensorName, TensorTable, heads};
use descant_models::{ModelConfig, ModelKind, Tie};
use descant_nn::{NormKind, Position, QkNorm, RotaryScaling, TransformerConfig};
use serde_json::{Map, Value, json};

/// What sets a family apart from Llama, and its values for keys that are not there.
pub(super) struct Traits {
    qkv_bias: bool,
    qk_norm: Option<QkNorm>,
    norm_first: bool,
    norm_output: bool,
    /// What the weights of norms are stored smaller by.
    norm_offset: f32,
    scale_embedding: bool,
    /// Whether queries, keys and values are one tensor, and gate and value too.
    fused: bool,
    windows: Windows,
    /// Whether scores have a scale of their own.
    query_scalar: bool,
    /// Whether there are soft caps of the scores and of the logits.
    soft_caps: [bool; 2],
    local_rotary: bool,
    activation_key: &'static str,
    activation: &'static str,
    tied: bool,
    kv_heads: Option<usize>,
    head_dim: Option<usize>,
    norm_epsilon: f64,
    rotary_base: f64,
    max_length: usize,
}

/// Which layers see no more than `sliding_window` tokens.
#[derive(Clone, Copy)]
enum Windows {
    None,
    /// All, or none where it is null; its value where it is left out.
    All(Option<usize>),
    /// Where `use_sliding_window`, those from `max_window_layers` on.
    Last,
    /// All but each of this number, of the width that stands for a missing one.
    AllBut(usize, usize),
}

pub(super) const LLAMA: Traits = Traits {
    qkv_bias: false,
    qk_norm: None,
    norm_first: true,
    norm_output: false,
    norm_offset: 0.0,
    scale_embedding: false,
    fused: false,
    windows: Windows::None,
    query_scalar: false,
    soft_caps: [false; 2],
    local_rotary: false,
    activation_key: "hidden_act",
    activation: "silu",
    tied: false,
    kv_heads: None,
    head_dim: None,
    norm_epsilon: 1e-6,
    rotary_base: 10_000.0,
    max_length: 2048,
};
pub(super) const GEMMA: Traits = Traits {
    norm_offset: 1.0,
    scale_embedding: true,
    activation: "gelu_pytorch_tanh",
    tied: true,
    kv_heads: Some(16),
    head_dim: Some(256),
    max_length: 8192,
    ..LLAMA
};
pub(super) const GEMMA2: Traits = Traits {
    norm_output: true,
    windows: Windows::AllBut(2, 4096),
    query_scalar: true,
    soft_caps: [true; 2],
    activation_key: "hidden_activation",
    kv_heads: Some(4),
    ..GEMMA
};
pub(super) const GEMMA3: Traits = Traits {
    qk_norm: Some(QkNorm::Head),
    windows: Windows::AllBut(6, 4096),
    soft_caps: [false, true],
    local_rotary: true,
    rotary_base: 1_000_000.0,
    max_length: 131_072,
    ..GEMMA2
};
pub(super) const QWEN2: Traits =
    Traits { qkv_bias: true, windows: Windows::Last, kv_heads: Some(32), max_length: 32_768, ..LLAMA };
pub(super) const QWEN3: Traits = Traits { qkv_bias: false, qk_norm: Some(QkNorm::Head), head_dim: Some(128), ..QWEN2 };
pub(super) const MISTRAL: Traits =
    Traits { windows: Windows::All(Some(4096)), kv_heads: Some(8), max_length: 131_072, ..LLAMA };
pub(super) const OLMO2: Traits =
    Traits { qk_norm: Some(QkNorm::All), norm_first: false, norm_output: true, norm_epsilon: 1e-5, ..LLAMA };
pub(super) const PHI3: Traits =
    Traits { fused: true, windows: Windows::All(None), norm_epsilon: 1e-5, max_length: 4096, ..LLAMA };

/// What Gemma 2 and 3 have where neither key nor recipe says otherwise.
const QUERY_SCALAR: f64 = 256.0;
const SOFT_CAPS: [f64; 2] = [50.0, 30.0];
const LOCAL_ROTARY_BASE: f64 = 10_000.0;
/// More than any model has: what a damaged file asks for is not allocated.
const MOST_LAYERS: usize = 1 << 12;
/// Kinds of layers in `config.json`: those with a window, and those that see all.
pub(crate) const SLIDING: &str = "sliding_attention";
pub(crate) const FULL: &str = "full_attention";

pub(super) fn read(family: Family, traits: &Traits, keys: &Keys<'_>) -> Result<ModelConfig, String> {
    for key in ["attention_bias", "mlp_bias", "use_bidirectional_attention"] {
        if !(traits.qkv_bias && key == "attention_bias") {
            keys.needs(key, false)?;
        }
    }
    let (hidden, layers) = (keys.number("hidden_size")?, keys.number("num_hidden_layers")?);
    if layers > MOST_LAYERS {
        return Err(format!("num_hidden_layers = {layers}: expected a number up to {MOST_LAYERS}"));
    }
    let heads = keys.number("num_attention_heads")?;
    let (window, full_layers) = windows(traits, keys, layers)?;
    let (rotary_base, rotary_scaling, local_rotary_base) = rotary(traits, keys)?;
    let cap = |of: usize, key: &str| -> Result<Option<f64>, String> {
        match (traits.soft_caps[of], keys.real_if(key)?) {
            (true, None) if family == Family::Gemma2 && !keys.is_null(key) => Ok(Some(SOFT_CAPS[of])),
            (true, cap) => Ok(cap),
            (false, None) => Ok(None),
            (false, Some(cap)) => Err(format!("{key} = {cap}: {family} has none")),
        }
    };
    let [attention_soft_cap, output_soft_cap] = [cap(0, "attn_logit_softcapping")?, cap(1, "final_logit_softcapping")?];
    // No more than one of the files' widths is the queries' own.
    let query_scalar = keys.real("query_pre_attn_scalar", QUERY_SCALAR);
    let head_dim = keys.number_if("head_dim")?.or(traits.head_dim).unwrap_or(hidden / heads.max(1));
    let transformer = TransformerConfig {
        heads,
        kv_heads: Some(keys.number_or("num_key_value_heads", traits.kv_heads.unwrap_or(heads))?),
        head_dim: Some(head_dim),
        d_ff: Some(keys.number("intermediate_size")?),
        activation: read_activation(family, traits, keys)?,
        gated: true,
        norm: NormKind::Rms,
        norm_epsilon: keys.real("rms_norm_eps", traits.norm_epsilon)?,
        norm_first: traits.norm_first,
        norm_output: traits.norm_output,
        qk_norm: traits.qk_norm,
        position: Position::Rotary,
        max_length: keys.number_or("max_position_embeddings", traits.max_length)?,
        rotary_base,
        rotary_scaling,
        local_rotary_base,
        window,
        full_layers,
        attention_dropout: keys.dropout("attention_dropout", 0.0)?,
        bias: false,
        attention_bias: traits.qkv_bias.then_some(true),
        query_pre_attn_scalar: match traits.query_scalar {
            true => Some(query_scalar?).filter(|&scalar| scalar != head_dim as f64),
            false => None,
        },
        attention_soft_cap,
        scale_embedding: traits.scale_embedding.then_some(true),
        ..TransformerConfig::default()
    };
    let tie = if keys.flag("tie_word_embeddings", traits.tied)? { Tie::Output } else { Tie::None };
    let mut config = model(ModelKind::LanguageModel, hidden, (1, layers), tie, transformer);
    if traits.fused {
        config.dropout = keys.dropout("resid_pdrop", 0.0)?;
        keys.dropout("embd_pdrop", 0.0)?;
        // Of the scaling that is not known.
        keys.number_if("original_max_position_embeddings")?;
    }
    Ok(ModelConfig { output_soft_cap, ..config })
}

fn read_activation(family: Family, traits: &Traits, keys: &Keys<'_>) -> Result<descant_autograd::Activation, String> {
    if family != Family::Gemma {
        return keys.activation(traits.activation_key, traits.activation);
    }
    // What the first files call "gelu" is the approximation, and their second key repeats it.
    let own = keys.text("hidden_act")?.filter(|name| name != "gelu").unwrap_or_else(|| traits.activation.to_owned());
    match keys.text("hidden_activation")?.filter(|name| activation(name) != activation(&own)) {
        Some(other) => Err(format!("hidden_activation = {other:?}, but hidden_act = {own:?}")),
        None => activation(&own),
    }
}

/// How many tokens a layer sees, and which layers see all in spite of it.
fn windows(traits: &Traits, keys: &Keys<'_>, layers: usize) -> Result<(Option<usize>, Vec<usize>), String> {
    let otherwise = match traits.windows {
        Windows::None => return Ok((None, Vec::new())),
        Windows::All(window) => window,
        Windows::Last => None,
        Windows::AllBut(_, window) => Some(window),
    };
    let window = keys.number_if("sliding_window")?.or(otherwise.filter(|_| !keys.is_null("sliding_window")));
    let pattern = |window: &dyn Fn(usize) -> bool| (0..layers).filter(|&layer| !window(layer)).collect::<Vec<usize>>();
    let full = match traits.windows {
        Windows::None | Windows::All(_) => Vec::new(),
        Windows::Last => {
            let (used, first) = (keys.flag("use_sliding_window", false)?, keys.number_or("max_window_layers", 28)?);
            pattern(&|layer| used && layer >= first)
        }
        Windows::AllBut(every, _) => {
            let saved = keys.number_if("_sliding_window_pattern")?;
            let every = keys.number_if("sliding_window_pattern")?.or(saved).unwrap_or(every);
            pattern(&|layer| every == 0 || !(layer + 1).is_multiple_of(every))
        }
    };
    // Kinds of layers, where they are listed, have the last word.
    let kinds = if matches!(traits.windows, Windows::All(_)) { None } else { keys.texts("layer_types")? };
    let full = match kinds {
        None if window.is_none() => return Ok((None, Vec::new())),
        None => full,
        Some(kinds) => {
            if kinds.len() != layers {
                return Err(format!("layer_types: {} of them for {layers} layers", kinds.len()));
            }
            if let Some(kind) = kinds.iter().find(|kind| ![SLIDING, FULL].contains(&kind.as_str())) {
                return Err(format!("layer_types: {kind:?} is not known, only {SLIDING:?} and {FULL:?}"));
            }
            pattern(&|layer| kinds[layer] == SLIDING)
        }
    };
    match (window, full.len() < layers) {
        (_, false) => Ok((None, Vec::new())),
        (None, true) => Err("it has no sliding_window, which some of its layers need".to_owned()),
        (Some(window), true) => Ok((Some(window), full)),
    }
}

/// The base and the scaling of rotary positions, and the base in layers with a window.
fn rotary(traits: &Traits, keys: &Keys<'_>) -> Result<(f64, Option<RotaryScaling>, Option<f64>), String> {
    let beside = keys.real("rope_theta", traits.rotary_base)?;
    let (older, newer) = (keys.table("rope_scaling")?, keys.table("rope_parameters")?);
    // Of the other families, transformers does not read it either.
    for table in [Some(keys), older.as_ref(), newer.as_ref()].into_iter().flatten().filter(|_| traits.fused) {
        if let Some(share) = table.real_if("partial_rotary_factor")?.filter(|&share| share != 1.0) {
            return Err(format!("partial_rotary_factor = {share}: only whole heads are rotated, expected 1"));
        }
    }
    if !traits.local_rotary {
        // As transformers does: the older table goes before the newer one, and a base within before one beside.
        let Some(own) = older.or(newer) else { return Ok((beside, None, None)) };
        return Ok((own.real("rope_theta", beside)?, scaling(&own)?, None));
    }
    let local_beside = keys.real("rope_local_base_freq", LOCAL_ROTARY_BASE)?;
    let (mut base, mut local, mut full) = (beside, local_beside, None);
    if let Some(newer) = newer {
        if let Some(own) = newer.table(SLIDING)? {
            local = own.real("rope_theta", local)?;
            if scaling(&own)?.is_some() {
                return Err(format!("rope_parameters.{SLIDING}: a scaling is not known in layers with a window"));
            }
        }
        if let Some(own) = newer.table(FULL)? {
            base = own.real("rope_theta", base)?;
            full = scaling(&own)?;
        }
    }
    if let Some(older) = older {
        base = older.real("rope_theta", base)?;
        full = scaling(&older)?;
    }
    Ok((base, full, Some(local)))
}

fn scaling(table: &Keys<'_>) -> Result<Option<RotaryScaling>, String> {
    let kind = table.text("rope_type")?.or(table.text("type")?).unwrap_or_else(|| "default".to_owned());
    // What the type has no use for is still to be what it should be.
    let factor = table.real("factor", if kind == "llama3" { 8.0 } else { 1.0 })?;
    let (low, high) = (table.real("low_freq_factor", 1.0)?, table.real("high_freq_factor", 4.0)?);
    let original_length = table.number_if("original_max_position_embeddings")?;
    match kind.as_str() {
        "default" => Ok(None),
        "linear" => Ok(Some(RotaryScaling::Linear { factor })),
        "llama3" => match original_length {
            Some(original_length @ 1..) => Ok(Some(RotaryScaling::Llama3 { factor, low, high, original_length })),
            _ => Err("rope_scaling: original_max_position_embeddings: expected a number from 1".to_owned()),
        },
        other => Err(format!("rope_scaling of type {other:?}: known are \"linear\" and \"llama3\"")),
    }
}

/// The inverse of [`scaling`], with the base.
fn rope(base: f64, scaling: Option<RotaryScaling>) -> Value {
    match scaling {
        None => json!({"rope_type": "default", "rope_theta": base}),
        Some(RotaryScaling::Linear { factor }) => json!({"rope_type": "linear", "factor": factor, "rope_theta": base}),
        Some(RotaryScaling::Llama3 { factor, low, high, original_length }) => json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
            "original_max_position_embeddings": original_length, "rope_theta": base,
        }),
    }
}

pub(super) fn write(traits: &Traits, config: &ModelConfig) -> Value {
    let t = config.transformer();
    let mut json = Map::new();
    let mut add = |key: &str, value: Value| _ = json.insert(key.to_owned(), value);
    add("hidden_size", json!(config.hidden));
    add("num_hidden_layers", json!(config.layers));
    add("num_attention_heads", json!(t.heads));
    add("num_key_value_heads", json!(t.kv_heads()));
    add("head_dim", json!(t.head_dim(config.hidden)));
    add("intermediate_size", json!(t.d_ff(config.hidden)));
    add(traits.activation_key, json!(activation_name(t.activation)));
    add("rms_norm_eps", json!(t.norm_epsilon));
    add("max_position_embeddings", json!(t.max_length));
    add("attention_dropout", json!(t.attention_dropout));
    // As both versions of transformers read it.
    if traits.local_rotary {
        let local = t.local_rotary_base.unwrap_or(t.rotary_base);
        let own = json!({SLIDING: rope(local, None), FULL: rope(t.rotary_base, t.rotary_scaling)});
        add("rope_parameters", own);
        add("rope_local_base_freq", json!(local));
        add("rope_theta", json!(t.rotary_base));
    } else {
        add("rope_theta", json!(t.rotary_base));
        add("rope_scaling", t.rotary_scaling.map_or(Value::Null, |scaling| rope(t.rotary_base, Some(scaling))));
    }
    let sees_all = |layer: usize| t.window.is_none() || t.full_layers.contains(&layer);
    let kinds = || (0..config.layers).map(|layer| if sees_all(layer) { FULL } else { SLIDING }).collect::<Vec<_>>();
    match traits.windows {
        Windows::None => {}
        Windows::All(_) => add("sliding_window", json!(t.window)),
        Windows::Last => {
            add("use_sliding_window", json!(t.window.is_some()));
            add("sliding_window", json!(t.window));
            add("layer_types", json!(kinds()));
        }
        Windows::AllBut(..) => {
            add("sliding_window", json!(t.window.unwrap_or(t.max_length)));
            add("layer_types", json!(kinds()));
        }
    }
    if traits.query_scalar {
        let scalar = t.query_pre_attn_scalar.unwrap_or(t.head_dim(config.hidden) as f64);
        let whole = scalar.fract() == 0.0 && scalar < 2e9;
        add("query_pre_attn_scalar", if whole { json!(scalar as u64) } else { json!(scalar) });
    }
    let caps = [("attn_logit_softcapping", t.attention_soft_cap), ("final_logit_softcapping", config.output_soft_cap)];
    for ((key, cap), known) in caps.into_iter().zip(traits.soft_caps) {
        if known {
            add(key, json!(cap));
        }
    }
    if traits.fused {
        add("resid_pdrop", json!(config.dropout));
    }
    Value::Object(json)
}

pub(super) fn tensor_names(traits: &Traits, config: &ModelConfig) -> Vec<TensorName> {
    let transformer = config.transformer();
    let between = transformer.d_ff(config.hidden);
    let norm = |pieces: &mut TensorTable, ours: &str, theirs: &str| {
        pieces.weight(ours, theirs).offset = traits.norm_offset;
    };
    let norms: &[(&str, &str)] = match (traits.norm_first, traits.norm_output) {
        (true, false) => &[("norm1", "input_layernorm"), ("norm2", "post_attention_layernorm")],
        (false, _) => &[("output_norm1", "post_attention_layernorm"), ("output_norm2", "post_feedforward_layernorm")],
        (true, true) => &[
            ("norm1", "input_layernorm"),
            ("output_norm1", "post_attention_layernorm"),
            ("norm2", "pre_feedforward_layernorm"),
            ("output_norm2", "post_feedforward_layernorm"),
        ],
    };
    let mut pieces = TensorTable::default();
    pieces.under("decoder.", "model.").weight("embedding", "embed_tokens");
    for l in 0..config.layers {
        pieces.under(format!("decoder.layers.{l}."), format!("model.layers.{l}."));
        for (ours, theirs) in norms {
            norm(&mut pieces, ours, theirs);
        }
        if traits.fused {
            pieces.add("self_attn.in_proj_weight", "self_attn.qkv_proj.weight");
            pieces.weight("linear1", "mlp.gate_up_proj");
        } else {
            let names = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
            pieces.attention("self_attn", names, heads(config), traits.qkv_bias);
            pieces.gated("linear1", ["mlp.gate_proj", "mlp.up_proj"], between);
        }
        if traits.qk_norm.is_some() {
            norm(&mut pieces, "self_attn.q_norm", "self_attn.q_norm");
            norm(&mut pieces, "self_attn.k_norm", "self_attn.k_norm");
        }
        pieces.weight("self_attn.out_proj", "self_attn.o_proj");
        pieces.weight("linear2", "mlp.down_proj");
    }
    pieces.under("decoder.", "model.");
    norm(&mut pieces, "norm", "norm");
    if config.tie == Tie::None {
        pieces.under("decoder.", "").weight("projection", "lm_head");
    }
    pieces.all
}
