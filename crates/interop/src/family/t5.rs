//! T5 with its versions 1.1 and Flan, and mT5.

use super::model;
use crate::config_keys::{Keys, activation, activation_name};
use crate::tensor_names::{TensorName, TensorTable, heads};
use descant_autograd::Activation;
use descant_models::{ModelConfig, ModelKind, Tie};
use descant_nn::{NormKind, Position, TransformerConfig};
use serde_json::{Value, json};

/// What T5 calls its feed-forward layers; its "gated-gelu" is the approximation.
fn feed_forward_name(gated: bool, activation: Activation) -> Option<String> {
    match (gated, activation) {
        (true, Activation::GeluTanh) => Some("gated-gelu".to_owned()),
        (true, Activation::Gelu) => None,
        (true, other) => Some(format!("gated-{}", activation_name(other)?)),
        (false, other) => Some(activation_name(other)?.to_owned()),
    }
}

pub(super) fn read(keys: &Keys<'_>, multilingual: bool) -> Result<ModelConfig, String> {
    let hidden = keys.number("d_model")?;
    let kind = keys.text("feed_forward_proj")?;
    let kind = kind.unwrap_or_else(|| (if multilingual { "gated-gelu" } else { "relu" }).to_owned());
    let (gated, name) = match kind.strip_prefix("gated-") {
        // What T5 calls so is the approximation.
        Some("gelu") => (true, "gelu_new"),
        Some(name) => (true, name),
        None => (false, kind.as_str()),
    };
    keys.needs("is_decoder", false)?;
    // Both follow from the kind.
    keys.flag("is_gated_act", gated)?;
    keys.text("dense_act_fn")?;
    // Up to transformers 4 an output of its own says that it is not scaled either; 5 has a key for that, and ties where the
    // file has one table. mT5 is never scaled.
    let tied = keys.flag("tie_word_embeddings", !multilingual)?;
    let scaled = keys.flag("scale_decoder_outputs", tied)?;
    let dropout = keys.dropout("dropout_rate", 0.1)?;
    let transformer = TransformerConfig {
        heads: keys.number("num_heads")?,
        head_dim: Some(keys.number("d_kv")?),
        d_ff: Some(keys.number("d_ff")?),
        activation: activation(name)?,
        gated,
        norm: NormKind::Rms,
        norm_epsilon: keys.real("layer_norm_epsilon", 1e-6)?,
        position: Position::Relative,
        relative_buckets: keys.number_or("relative_attention_num_buckets", 32)?,
        relative_max_distance: keys.number_or("relative_attention_max_distance", 128)?,
        bias: false,
        scale_attention: false,
        scale_output: scaled && !multilingual,
        // One for everything.
        attention_dropout: dropout,
        activation_dropout: dropout,
        ..TransformerConfig::default()
    };
    let layers = keys.number("num_layers")?;
    let layers = (layers, keys.number_or("num_decoder_layers", layers)?);
    let tie = if tied { Tie::All } else { Tie::Embeddings };
    let config = model(ModelKind::EncoderDecoder, hidden, layers, tie, transformer);
    Ok(ModelConfig { dropout, ..config })
}

pub(super) fn write(config: &ModelConfig) -> Value {
    let t = config.transformer();
    json!({
        "d_model": config.hidden, "num_layers": config.encoder_layers, "num_decoder_layers": config.layers,
        "num_heads": t.heads, "d_kv": t.head_dim(config.hidden), "d_ff": t.d_ff(config.hidden),
        "feed_forward_proj": feed_forward_name(t.gated, t.activation),
        "layer_norm_epsilon": t.norm_epsilon, "dropout_rate": config.dropout,
        "relative_attention_num_buckets": t.relative_buckets,
        "relative_attention_max_distance": t.relative_max_distance,
        "scale_decoder_outputs": t.scale_output,
    })
}

pub(super) fn tensor_names(config: &ModelConfig) -> Vec<TensorName> {
    let transformer = config.transformer();
    let mut pieces = TensorTable::default();
    pieces.under("encoder.", "").weight("embedding", "shared");
    for (ours, layers) in [("encoder", config.encoder_layers), ("decoder", config.layers)] {
        for l in 0..layers {
            let part = |pieces: &mut TensorTable, i: usize| {
                pieces.under(format!("{ours}.layers.{l}."), format!("{ours}.block.{l}.layer.{i}."));
                pieces.weight(&format!("norm{}", i + 1), "layer_norm");
            };
            let attention = |pieces: &mut TensorTable, own: &str, theirs: &str| {
                let names = ["q", "k", "v"].map(|name| format!("{theirs}.{name}"));
                pieces.attention(own, [&names[0], &names[1], &names[2]], heads(config), false);
                pieces.weight(&format!("{own}.out_proj"), &format!("{theirs}.o"));
            };
            part(&mut pieces, 0);
            attention(&mut pieces, "self_attn", "SelfAttention");
            let last = if ours == "decoder" {
                part(&mut pieces, 1);
                attention(&mut pieces, "multihead_attn", "EncDecAttention");
                2
            } else {
                1
            };
            part(&mut pieces, last);
            if transformer.gated {
                let names = ["DenseReluDense.wi_0", "DenseReluDense.wi_1"];
                pieces.gated("linear1", names, transformer.d_ff(config.hidden));
            } else {
                pieces.weight("linear1", "DenseReluDense.wi");
            }
            pieces.weight("linear2", "DenseReluDense.wo");
        }
        pieces.under(format!("{ours}."), format!("{ours}."));
        pieces.weight("relative", "block.0.layer.0.SelfAttention.relative_attention_bias");
        pieces.weight("norm", "final_layer_norm");
    }
    if config.tie == Tie::Embeddings {
        pieces.under("decoder.", "").weight("projection", "lm_head");
    }
    pieces.all
}
