//! Which family a trained model is of, and what it would need to be of one.

use crate::Family;
use crate::config::{MARIAN_EPSILON, activation_name, feed_forward_name};
use descant_models::{Kind, Layers, ModelConfig, Tie};
use descant_nn::{NormKind, Position};

/// A key with the value that a family needs, and whether the model has it.
type Need = (String, bool);

impl Family {
    /// The family that a model is of.
    ///
    /// # Errors
    /// That it is of none, and which keys of its recipe would make it one of the nearest.
    pub fn of(config: &ModelConfig) -> Result<Self, String> {
        let candidates: &[Self] = match config.kind {
            Kind::LanguageModel => &[Self::Gpt2, Self::Llama, Self::Qwen2],
            Kind::EncoderDecoder => &[Self::Marian, Self::T5],
        };
        let mut nearest: Option<(Self, Vec<String>)> = None;
        for &family in candidates {
            let missing: Vec<String> =
                family.needs(config).into_iter().filter_map(|(need, fulfilled)| (!fulfilled).then_some(need)).collect();
            if missing.is_empty() {
                return Ok(family);
            }
            if nearest.as_ref().is_none_or(|(_, other)| missing.len() < other.len()) {
                nearest = Some((family, missing));
            }
        }
        let (family, missing) = nearest.ok_or("it is of no family")?;
        Err(format!(
            "transformers has no family like it. The nearest is {family}: a model trained with {} is one",
            missing.join(", ")
        ))
    }

    /// What the recipe of a model of this family has.
    fn needs(self, config: &ModelConfig) -> Vec<Need> {
        let t = config.transformer();
        let own = |key: &str, fulfilled: bool| (format!("model.{key}"), fulfilled);
        let inner = |key: &str, fulfilled: bool| (format!("model.transformer.{key}"), fulfilled);
        let qkv = t.attention_bias.unwrap_or(t.bias);
        let all_heads = inner("key_value_heads = heads", t.key_value_heads() == t.heads);
        let square = inner("head_width = hidden / heads", t.heads * t.head_width(config.hidden) == config.hidden);
        let known_activation = inner("activation = \"silu\"", activation_name(t.activation).is_some());
        let mut needs = vec![own("decoder = \"transformer\"", config.decoder == Layers::Transformer)];
        if self.reads_a_source() {
            needs.push(own("encoder = \"transformer\"", config.encoder() == Layers::Transformer));
            needs.push(own("tie = \"all\"", config.tie == Tie::All));
        }
        let layer_norm = inner("norm = \"layer\"", t.norm == NormKind::Layer);
        let rms_norm = inner("norm = \"rms\"", t.norm == NormKind::Rms);
        let no_output_bias = own("output_bias = false", !config.output_bias);
        let no_window = inner("window left out", t.window.is_none());
        let scaled =
            [inner("scale_attention = true", t.scale_attention), inner("scale_output = false", !t.scale_output)];
        let plain_embedding = inner("scale_embedding = false", !t.scales_embedding());
        match self {
            Self::Gpt2 => {
                needs.extend([
                    inner("position = \"learned\"", t.position == Position::Learned),
                    layer_norm,
                    inner("norm_first = true", t.norm_first),
                    inner("bias = true", t.bias),
                    inner("attention_bias left out", qkv == t.bias),
                    inner("gated = false", !t.gated),
                    no_window,
                    all_heads,
                    square,
                    plain_embedding,
                    no_output_bias,
                    known_activation,
                ]);
                needs.extend(scaled);
            }
            Self::Llama | Self::Qwen2 => {
                needs.extend([
                    inner("position = \"rotary\"", t.position == Position::Rotary),
                    rms_norm,
                    inner("norm_first = true", t.norm_first),
                    inner("gated = true", t.gated),
                    inner("bias = false", !t.bias),
                    plain_embedding,
                    no_output_bias,
                    known_activation,
                ]);
                needs.extend(scaled);
                match self {
                    Self::Llama => needs.extend([inner("attention_bias = false", !qkv), no_window]),
                    _ => needs.push(inner("attention_bias = true", qkv)),
                }
            }
            Self::Marian => {
                needs.extend([
                    inner("position = \"sinusoidal\"", t.position == Position::Sinusoidal),
                    layer_norm,
                    inner("norm_first = false", !t.norm_first),
                    inner("norm_epsilon = 1e-5", t.norm_epsilon == MARIAN_EPSILON),
                    inner("bias = true", t.bias),
                    inner("attention_bias left out", qkv == t.bias),
                    inner("gated = false", !t.gated),
                    no_window,
                    all_heads,
                    square,
                    own("output_bias = true", config.output_bias),
                    known_activation,
                ]);
                needs.extend(scaled);
            }
            Self::T5 => needs.extend([
                inner("position = \"relative\"", t.position == Position::Relative),
                rms_norm,
                inner("norm_first = true", t.norm_first),
                inner("bias = false", !t.bias),
                inner("attention_bias left out", qkv == t.bias),
                inner("scale_attention = false", !t.scale_attention),
                inner("scale_output = true", t.scale_output),
                plain_embedding,
                no_window,
                all_heads,
                no_output_bias,
                inner("activation = \"relu\"", feed_forward_name(t.gated, t.activation).is_some()),
            ]),
        }
        needs
    }
}
