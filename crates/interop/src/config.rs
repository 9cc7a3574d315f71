//! What a `config.json` means.

use descant_autograd::Activation;
use descant_models::{Kind, Layers, ModelConfig, Tie};
use descant_nn::{NormKind, Position, RotaryScaling, TransformerConfig};
use descant_text::Special;
use serde_json::{Value, json};

/// A family of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// GPT-2 (Radford et al. 2019).
    Gpt2,
    /// Llama (Touvron et al. 2023, arXiv 2302.13971).
    Llama,
    /// Qwen2 (Yang et al. 2024, arXiv 2407.10671).
    Qwen2,
    /// Marian, the OPUS-MT models among them (Junczys-Dowmunt et al. 2018, arXiv 1804.00344).
    Marian,
    /// T5 (Raffel et al. 2020, arXiv 1910.10683).
    T5,
}

/// Their names for activations.
const ACTIVATIONS: [(&str, Activation); 8] = [
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu", Activation::Gelu),
    ("relu", Activation::Relu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
];

/// More than any vocabulary has: what a damaged file asks for is not allocated.
const MOST_ENTRIES: usize = 1 << 24;
/// More than any other whole number is.
const MOST: u64 = i32::MAX as u64;
/// Of Marian's layers, which no key of its says.
pub(crate) const MARIAN_EPSILON: f64 = 1e-5;

/// Reads a `config.json` by key, and says which key is missing or wrong.
struct Reader<'a>(&'a Value);

impl Reader<'_> {
    fn get<T>(&self, key: &str, what: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| format!("{key} = {value}: expected {what}")),
        }
    }

    fn number(&self, key: &str) -> Result<usize, String> {
        self.number_if(key)?.ok_or_else(|| format!("it has no {key}"))
    }

    fn number_if(&self, key: &str) -> Result<Option<usize>, String> {
        let expected = format!("a whole number up to {MOST}");
        self.get(key, &expected, |value| value.as_u64().filter(|&n| n <= MOST).map(|n| n as usize))
    }

    fn id(&self, key: &str) -> Result<Option<u32>, String> {
        Ok(self.ids(key)?.first().copied())
    }

    /// As the family has it where the key is missing; null is none.
    fn id_or(&self, key: &str, otherwise: Option<u32>) -> Result<Option<u32>, String> {
        if self.0.get(key).is_none() { Ok(otherwise) } else { self.id(key) }
    }

    /// One id or several.
    fn ids(&self, key: &str) -> Result<Vec<u32>, String> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = |value: &Value| match value {
            Value::Array(ids) => ids.iter().map(id).collect(),
            one => id(one).map(|id| vec![id]),
        };
        Ok(self.get(key, "a token's id, or a list of them", ids)?.unwrap_or_default())
    }

    fn real(&self, key: &str, otherwise: f64) -> Result<f64, String> {
        Ok(self.get(key, "a number", Value::as_f64)?.unwrap_or(otherwise))
    }

    fn flag(&self, key: &str, otherwise: bool) -> Result<bool, String> {
        Ok(self.get(key, "true or false", Value::as_bool)?.unwrap_or(otherwise))
    }

    fn text(&self, key: &str, otherwise: &str) -> Result<String, String> {
        Ok(self.get(key, "a text", |value| value.as_str().map(str::to_owned))?.unwrap_or_else(|| otherwise.to_owned()))
    }

    fn activation(&self, key: &str, otherwise: &str) -> Result<Activation, String> {
        activation(&self.text(key, otherwise)?)
    }

    /// A table within this one.
    fn table(&self, key: &str) -> Result<Option<Reader<'_>>, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(table @ Value::Object(_)) => Ok(Some(Reader(table))),
            Some(other) => Err(format!("{key} = {other}: expected a table")),
        }
    }

    fn rotary_scaling(&self) -> Result<Option<RotaryScaling>, String> {
        // Newer files keep the base and the scaling together.
        let newer = self.table("rope_parameters")?;
        let Some(scaling) = self.table("rope_scaling")?.or(newer) else { return Ok(None) };
        let kind = scaling.text("rope_type", &scaling.text("type", "default")?)?;
        // What the type has no use for is still to be what it should be.
        let factor = scaling.real("factor", if kind == "llama3" { 8.0 } else { 1.0 })?;
        let (low, high) = (scaling.real("low_freq_factor", 1.0)?, scaling.real("high_freq_factor", 4.0)?);
        let original_length = scaling.number_if("original_max_position_embeddings")?;
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

    fn rotary_base(&self) -> Result<f64, String> {
        let inner = self.table("rope_parameters")?.map_or(Ok(10_000.0), |inner| inner.real("rope_theta", 10_000.0))?;
        self.real("rope_theta", inner)
    }

    /// A share that is dropped in training.
    fn dropout(&self, key: &str, otherwise: f64) -> Result<f64, String> {
        match self.real(key, otherwise)? {
            share if (0.0..1.0).contains(&share) => Ok(share),
            share => Err(format!("{key} = {share}: expected a number from 0 to below 1")),
        }
    }

    /// How many keys a query sees, where that is the same in all of Qwen2's layers.
    fn window(&self, layers: usize) -> Result<Option<usize>, String> {
        let Some(window) = self.number_if("sliding_window")? else { return Ok(None) };
        let is_list = |value: &Value| value.as_array().filter(|kinds| kinds.iter().all(Value::is_string)).cloned();
        let kinds = self.get("layer_types", "a list of texts", is_list)?;
        let windowed = match kinds {
            Some(kinds) => kinds.iter().filter(|kind| *kind == "sliding_attention").count(),
            // From this layer on.
            None if self.flag("use_sliding_window", false)? => {
                layers.saturating_sub(self.number_if("max_window_layers")?.unwrap_or(28))
            }
            None => 0,
        };
        match windowed {
            0 => Ok(None),
            all if all >= layers => Ok(Some(window)),
            some => Err(format!("a sliding window in {some} of {layers} layers is not known, only in all or in none")),
        }
    }

    /// What a family begins with, and its end where the key is missing. What stands around texts says the tokenizer.
    fn special(&self, beginning: Option<u32>, end: Option<u32>) -> Result<Special, String> {
        let entries = self.number("vocab_size")?;
        let otherwise = if self.0.get("eos_token_id").is_none() { end } else { None };
        let ends: Vec<u32> = self.ids("eos_token_id")?.into_iter().chain(otherwise).collect();
        match entries {
            1..=MOST_ENTRIES => Ok(Special {
                unknown: None,
                beginning,
                ends,
                around: None,
                entries: Some(entries),
                pieces_apart: false,
            }),
            _ => Err(format!("vocab_size = {entries}: expected a number from 1 to {MOST_ENTRIES}")),
        }
    }
}

fn activation(name: &str) -> Result<Activation, String> {
    let known = ACTIVATIONS.iter().find(|(known, _)| *known == name);
    known.map(|(_, activation)| *activation).ok_or_else(|| format!("the activation {name:?} is not known"))
}

/// `None` where they have no name for it.
pub(crate) fn activation_name(activation: Activation) -> Option<&'static str> {
    ACTIVATIONS.iter().find(|(_, known)| *known == activation).map(|(name, _)| *name)
}

/// What T5 calls its feed-forward layers; its "gated-gelu" is the approximation.
pub(crate) fn feed_forward_name(gated: bool, activation: Activation) -> Option<String> {
    match (gated, activation) {
        (true, Activation::GeluTanh) => Some("gated-gelu".to_owned()),
        (true, Activation::Gelu) => None,
        (true, other) => Some(format!("gated-{}", activation_name(other)?)),
        (false, other) => Some(activation_name(other)?.to_owned()),
    }
}

/// The ids that end a text, of a `config.json` or `generation_config.json`.
///
/// # Errors
/// Where they are something else.
pub(crate) fn ends(config: &Value) -> Result<Vec<u32>, String> {
    Reader(config).ids("eos_token_id")
}

/// A Transformer of this size, which the families then vary.
fn model(kind: Kind, hidden: usize, layers: (usize, usize), tie: Tie, transformer: TransformerConfig) -> ModelConfig {
    ModelConfig {
        decoder: Layers::Transformer,
        embedding: hidden,
        hidden,
        encoder_layers: layers.0,
        layers: layers.1,
        tie,
        output_bias: false,
        transformer: Some(transformer),
        ..ModelConfig::new(kind)
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gpt2 => "GPT-2",
            Self::Llama => "Llama",
            Self::Qwen2 => "Qwen2",
            Self::Marian => "Marian",
            Self::T5 => "T5",
        })
    }
}

impl Family {
    const ALL: [(Self, &str, &str); 5] = [
        (Self::Gpt2, "gpt2", "GPT2LMHeadModel"),
        (Self::Llama, "llama", "LlamaForCausalLM"),
        (Self::Qwen2, "qwen2", "Qwen2ForCausalLM"),
        (Self::Marian, "marian", "MarianMTModel"),
        (Self::T5, "t5", "T5ForConditionalGeneration"),
    ];

    /// The family, the model and the special ids that a `config.json` describes.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub(crate) fn read(config: &Value) -> Result<(Self, ModelConfig, Special), String> {
        if !config.is_object() {
            return Err("it is no JSON object, but a single value or a list".to_owned());
        }
        let reader = Reader(config);
        let name = reader.text("model_type", "")?;
        let Some((family, ..)) = Self::ALL.iter().find(|(_, known, _)| *known == name) else {
            let known = Self::ALL.map(|(_, name, _)| name).join(", ");
            return Err(format!("model_type = {name:?}: known are {known}"));
        };
        let (config, special) = match family {
            Self::Gpt2 => reader.gpt2()?,
            Self::Llama | Self::Qwen2 => reader.llama(*family)?,
            Self::Marian => reader.marian()?,
            Self::T5 => reader.t5()?,
        };
        Ok((*family, config, special))
    }

    /// Whether its models turn one text into another.
    pub fn reads_a_source(self) -> bool {
        matches!(self, Self::Marian | Self::T5)
    }

    /// The `config.json` of a model of this family.
    pub(crate) fn write(self, config: &ModelConfig, special: &Special, entries: usize) -> Value {
        let t = config.transformer();
        let Special { beginning, ends, .. } = special;
        let end = one_or_several(ends);
        let (_, name, architecture) = Self::ALL[self as usize];
        let mut json = json!({
            "model_type": name, "architectures": [architecture], "vocab_size": entries, "torch_dtype": "float32",
            "tie_word_embeddings": config.tie != Tie::None, "eos_token_id": end,
        });
        let own = match self {
            Self::Gpt2 => json!({
                "n_embd": config.hidden, "n_layer": config.layers, "n_head": t.heads, "n_positions": t.max_length,
                "n_inner": t.feed_forward(config.hidden), "activation_function": activation_name(t.activation),
                "layer_norm_epsilon": t.norm_epsilon, "bos_token_id": beginning,
                "resid_pdrop": config.dropout, "embd_pdrop": config.dropout, "attn_pdrop": t.attention_dropout,
            }),
            Self::Llama | Self::Qwen2 => json!({
                "hidden_size": config.hidden, "num_hidden_layers": config.layers, "num_attention_heads": t.heads,
                "num_key_value_heads": t.key_value_heads(), "head_dim": t.head_width(config.hidden),
                "intermediate_size": t.feed_forward(config.hidden), "hidden_act": activation_name(t.activation),
                "rms_norm_eps": t.norm_epsilon, "rope_theta": t.rotary_base, "max_position_embeddings": t.max_length,
                "bos_token_id": beginning, "attention_dropout": t.attention_dropout,
                "rope_scaling": scaling(t.rotary_scaling),
                "use_sliding_window": t.window.is_some(), "sliding_window": t.window, "max_window_layers": 0,
            }),
            Self::Marian => json!({
                "d_model": config.hidden, "encoder_layers": config.encoder_layers, "decoder_layers": config.layers,
                "encoder_attention_heads": t.heads, "decoder_attention_heads": t.heads,
                "encoder_ffn_dim": t.feed_forward(config.hidden), "decoder_ffn_dim": t.feed_forward(config.hidden),
                "activation_function": activation_name(t.activation), "scale_embedding": t.scales_embedding(),
                "max_position_embeddings": t.max_length, "static_position_embeddings": true,
                "share_encoder_decoder_embeddings": true, "dropout": config.dropout, "is_encoder_decoder": true,
                "attention_dropout": t.attention_dropout, "activation_dropout": t.activation_dropout,
                "decoder_start_token_id": beginning, "pad_token_id": beginning, "forced_eos_token_id": end,
                "decoder_vocab_size": entries,
            }),
            Self::T5 => json!({
                "d_model": config.hidden, "num_layers": config.encoder_layers, "num_decoder_layers": config.layers,
                "num_heads": t.heads, "d_kv": t.head_width(config.hidden), "d_ff": t.feed_forward(config.hidden),
                "feed_forward_proj": feed_forward_name(t.gated, t.activation),
                "layer_norm_epsilon": t.norm_epsilon, "dropout_rate": config.dropout, "is_encoder_decoder": true,
                "relative_attention_num_buckets": t.relative_buckets,
                "relative_attention_max_distance": t.relative_max_distance,
                "decoder_start_token_id": beginning, "pad_token_id": beginning,
            }),
        };
        if let (Some(json), Value::Object(own)) = (json.as_object_mut(), own) {
            json.extend(own.into_iter().filter(|(_, value)| !value.is_null()));
        }
        json
    }
}

/// One id as a number, several as a list, none as null.
pub(crate) fn one_or_several(ids: &[u32]) -> Value {
    match ids {
        [] => Value::Null,
        [one] => json!(one),
        ids => json!(ids),
    }
}

fn scaling(scaling: Option<RotaryScaling>) -> Value {
    match scaling {
        None => Value::Null,
        Some(RotaryScaling::Linear { factor }) => json!({"rope_type": "linear", "factor": factor}),
        Some(RotaryScaling::Llama3 { factor, low, high, original_length }) => json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
            "original_max_position_embeddings": original_length,
        }),
    }
}

impl Reader<'_> {
    fn gpt2(&self) -> Result<(ModelConfig, Special), String> {
        for (key, needed) in [("scale_attn_weights", true), ("scale_attn_by_inverse_layer_idx", false)] {
            if self.flag(key, needed)? != needed {
                return Err(format!("{key} = {}: expected {needed}", !needed));
            }
        }
        let hidden = self.number("n_embd")?;
        let transformer = TransformerConfig {
            heads: self.number("n_head")?,
            feed_forward: Some(self.number_if("n_inner")?.unwrap_or(4 * hidden)),
            activation: self.activation("activation_function", "gelu_new")?,
            norm_epsilon: self.real("layer_norm_epsilon", 1e-5)?,
            position: Position::Learned,
            max_length: self.number("n_positions")?,
            attention_dropout: self.dropout("attn_pdrop", 0.1)?,
            ..TransformerConfig::default()
        };
        if self.flag("add_cross_attention", false)? {
            return Err("add_cross_attention = true: expected false".to_owned());
        }
        let tie = if self.flag("tie_word_embeddings", true)? { Tie::Output } else { Tie::None };
        let layers = self.number("n_layer")?;
        let special = self.special(self.id_or("bos_token_id", Some(50_256))?, Some(50_256))?;
        let config = model(Kind::LanguageModel, hidden, (1, layers), tie, transformer);
        Ok((ModelConfig { dropout: self.dropout("resid_pdrop", 0.1)?, ..config }, special))
    }

    fn llama(&self, family: Family) -> Result<(ModelConfig, Special), String> {
        let qwen = family == Family::Qwen2;
        for key in ["attention_bias", "mlp_bias"] {
            if !qwen && self.flag(key, false)? {
                return Err(format!("{key} = true: expected false"));
            }
        }
        let (hidden, layers) = (self.number("hidden_size")?, self.number("num_hidden_layers")?);
        let window = if qwen { self.window(layers)? } else { None };
        let heads = self.number("num_attention_heads")?;
        let transformer = TransformerConfig {
            heads,
            key_value_heads: Some(self.number_if("num_key_value_heads")?.unwrap_or(heads)),
            head_width: Some(self.number_if("head_dim")?.unwrap_or(hidden / heads.max(1))),
            feed_forward: Some(self.number("intermediate_size")?),
            activation: self.activation("hidden_act", "silu")?,
            gated: true,
            norm: NormKind::Rms,
            norm_epsilon: self.real("rms_norm_eps", 1e-6)?,
            position: Position::Rotary,
            max_length: self.number_if("max_position_embeddings")?.unwrap_or(2048),
            rotary_base: self.rotary_base()?,
            rotary_scaling: self.rotary_scaling()?,
            window,
            attention_dropout: self.dropout("attention_dropout", 0.0)?,
            bias: false,
            attention_bias: qwen.then_some(true),
            ..TransformerConfig::default()
        };
        let tie = if self.flag("tie_word_embeddings", false)? { Tie::Output } else { Tie::None };
        let [beginning, end] = if qwen { [None; 2] } else { [Some(1), Some(2)] };
        let special = self.special(self.id_or("bos_token_id", beginning)?, end)?;
        Ok((model(Kind::LanguageModel, hidden, (1, layers), tie, transformer), special))
    }

    fn marian(&self) -> Result<(ModelConfig, Special), String> {
        let hidden = self.number("d_model")?;
        let both = |a: &str, b: &str| match (self.number(a)?, self.number(b)?) {
            (a, b) if a == b => Ok(a),
            (found, other) => Err(format!("{a} = {found} and {b} = {other}: expected one number")),
        };
        if !self.flag("share_encoder_decoder_embeddings", true)? {
            return Err("share_encoder_decoder_embeddings = false: expected true".to_owned());
        }
        for (key, needed) in [("normalize_before", false), ("tie_word_embeddings", true)] {
            if self.flag(key, needed)? != needed {
                return Err(format!("{key} = {}: expected {needed}", !needed));
            }
        }
        let transformer = TransformerConfig {
            heads: both("encoder_attention_heads", "decoder_attention_heads")?,
            feed_forward: Some(both("encoder_ffn_dim", "decoder_ffn_dim")?),
            activation: self.activation("activation_function", "gelu")?,
            norm_first: false,
            norm_epsilon: MARIAN_EPSILON,
            attention_dropout: self.dropout("attention_dropout", 0.0)?,
            activation_dropout: self.dropout("activation_dropout", 0.0)?,
            position: Position::Sinusoidal,
            max_length: self.number_if("max_position_embeddings")?.unwrap_or(1024),
            scale_embedding: Some(self.flag("scale_embedding", false)?),
            ..TransformerConfig::default()
        };
        let layers = (self.number("encoder_layers")?, self.number("decoder_layers")?);
        let start = self.id("decoder_start_token_id")?.ok_or("it has no decoder_start_token_id")?;
        let special = self.special(Some(start), Some(0))?;
        let config = model(Kind::EncoderDecoder, hidden, layers, Tie::All, transformer);
        Ok((ModelConfig { output_bias: true, dropout: self.dropout("dropout", 0.1)?, ..config }, special))
    }

    fn t5(&self) -> Result<(ModelConfig, Special), String> {
        let hidden = self.number("d_model")?;
        let kind = self.text("feed_forward_proj", "relu")?;
        let (gated, name) = match kind.strip_prefix("gated-") {
            // What T5 calls so is the approximation.
            Some("gelu") => (true, "gelu_new"),
            Some(name) => (true, name),
            None => (false, kind.as_str()),
        };
        if !self.flag("tie_word_embeddings", true)? {
            return Err(
                "tie_word_embeddings = false: an output apart from the shared embedding is not known".to_owned()
            );
        }
        let dropout = self.dropout("dropout_rate", 0.1)?;
        let transformer = TransformerConfig {
            heads: self.number("num_heads")?,
            head_width: Some(self.number("d_kv")?),
            feed_forward: Some(self.number("d_ff")?),
            activation: activation(name)?,
            gated,
            norm: NormKind::Rms,
            norm_epsilon: self.real("layer_norm_epsilon", 1e-6)?,
            position: Position::Relative,
            relative_buckets: self.number_if("relative_attention_num_buckets")?.unwrap_or(32),
            relative_max_distance: self.number_if("relative_attention_max_distance")?.unwrap_or(128),
            bias: false,
            scale_attention: false,
            scale_output: true,
            // One for everything.
            attention_dropout: dropout,
            activation_dropout: dropout,
            ..TransformerConfig::default()
        };
        let layers = self.number("num_layers")?;
        let decoder = self.number_if("num_decoder_layers")?.unwrap_or(layers);
        let start = self.id("decoder_start_token_id")?.or(self.id("pad_token_id")?).unwrap_or(0);
        let special = self.special(Some(start), Some(1))?;
        let config = model(Kind::EncoderDecoder, hidden, (layers, decoder), Tie::All, transformer);
        Ok((ModelConfig { dropout, ..config }, special))
    }
}
