//! Encoder-decoders of BART's kind: BART, mBART and Marian.

use super::{Family, model};
use crate::config_keys::{Keys, activation_name};
use crate::tensor_names::{TensorName, TensorTable, heads};
use descant_models::{ModelConfig, ModelKind, Tie};
use descant_nn::{Position, TransformerConfig};
use descant_text::SpecialTokens;
use serde_json::{Value, json};

/// Of their layers, which no key says.
const EPSILON: f64 = 1e-5;
/// Rows of BART's tables of positions that nothing reads.
const SKIPPED: usize = 2;

pub(super) fn read(family: Family, keys: &Keys<'_>) -> Result<ModelConfig, String> {
    let hidden = keys.number("d_model")?;
    let marian = family == Family::Marian;
    let shared = !marian || keys.flag("share_encoder_decoder_embeddings", true)?;
    // What older files say of what the family is.
    for (key, needed) in [
        ("normalize_before", family == Family::Mbart),
        ("add_final_layer_norm", family == Family::Mbart),
        ("normalize_embedding", !marian),
        ("static_position_embeddings", marian),
        ("add_bias_logits", false),
        ("is_decoder", false),
    ] {
        keys.needs(key, needed)?;
    }
    keys.number_if("extra_pos_embeddings")?;
    if marian {
        let (own, target) = (keys.number("vocab_size")?, keys.number_if("decoder_vocab_size")?);
        if let Some(target) = target.filter(|&target| shared && target != own) {
            return Err(format!("decoder_vocab_size = {target}, but vocab_size = {own}: expected one vocabulary"));
        }
    }
    let transformer = TransformerConfig {
        heads: keys.same_number("encoder_attention_heads", "decoder_attention_heads")?,
        d_ff: Some(keys.same_number("encoder_ffn_dim", "decoder_ffn_dim")?),
        activation: keys.activation("activation_function", "gelu")?,
        norm_first: family == Family::Mbart,
        norm_embedding: !marian,
        norm_epsilon: EPSILON,
        attention_dropout: keys.dropout("attention_dropout", 0.0)?,
        activation_dropout: keys.dropout("activation_dropout", 0.0)?,
        position: if marian { Position::Sinusoidal } else { Position::Learned },
        max_length: keys.number_or("max_position_embeddings", 1024)?,
        scale_embedding: Some(keys.flag("scale_embedding", false)?),
        ..TransformerConfig::default()
    };
    let layers = (keys.number("encoder_layers")?, keys.number("decoder_layers")?);
    let tie = match (keys.flag("tie_word_embeddings", true)?, shared) {
        (true, true) => Tie::All,
        (false, true) => Tie::Embeddings,
        (true, false) => Tie::Output,
        (false, false) => Tie::None,
    };
    let config = model(ModelKind::EncoderDecoder, hidden, layers, tie, transformer);
    Ok(ModelConfig { output_bias: true, dropout: keys.dropout("dropout", 0.1)?, ..config })
}

pub(super) fn write(family: Family, config: &ModelConfig, special: &SpecialTokens, entries: usize) -> Value {
    let t = config.transformer();
    let mut json = json!({
        "d_model": config.hidden, "encoder_layers": config.encoder_layers, "decoder_layers": config.layers,
        "encoder_attention_heads": t.heads, "decoder_attention_heads": t.heads,
        "encoder_ffn_dim": t.d_ff(config.hidden), "decoder_ffn_dim": t.d_ff(config.hidden),
        "activation_function": activation_name(t.activation), "scale_embedding": t.scales_embedding(),
        "max_position_embeddings": t.max_length, "dropout": config.dropout,
        "attention_dropout": t.attention_dropout, "activation_dropout": t.activation_dropout,
        "forced_eos_token_id": special.first_eos(),
    });
    if family == Family::Marian {
        json["static_position_embeddings"] = json!(true);
        json["share_encoder_decoder_embeddings"] = json!(config.tie.joins_sides());
        json["decoder_vocab_size"] = json!(entries);
    }
    json
}

pub(super) fn tensor_names(family: Family, config: &ModelConfig) -> Vec<TensorName> {
    let mut pieces = TensorTable::default();
    if config.tie.joins_sides() {
        pieces.under("encoder.", "model.").weight("embedding", "shared");
    } else {
        pieces.under("", "model.");
        pieces.weight("encoder.embedding", "encoder.embed_tokens");
        pieces.weight("decoder.embedding", "decoder.embed_tokens");
    }
    for (ours, layers) in [("encoder", config.encoder_layers), ("decoder", config.layers)] {
        pieces.under(format!("{ours}."), format!("model.{ours}."));
        if family != Family::Marian {
            pieces.weight("position", "embed_positions").skipped = SKIPPED;
            pieces.biased("norm_embedding", "layernorm_embedding");
        }
        if family == Family::Mbart {
            pieces.biased("norm", "layer_norm");
        }
        for l in 0..layers {
            pieces.under(format!("{ours}.layers.{l}."), format!("model.{ours}.layers.{l}."));
            let part = |pieces: &mut TensorTable, own: &str, theirs: &str, norm: &str| {
                let names = ["q_proj", "k_proj", "v_proj"].map(|name| format!("{theirs}.{name}"));
                pieces.attention(own, [&names[0], &names[1], &names[2]], heads(config), true);
                pieces.biased(&format!("{own}.out_proj"), &format!("{theirs}.out_proj"));
                pieces.biased(norm, &format!("{theirs}_layer_norm"));
            };
            part(&mut pieces, "self_attn", "self_attn", "norm1");
            let last = if ours == "decoder" {
                part(&mut pieces, "multihead_attn", "encoder_attn", "norm2");
                "norm3"
            } else {
                "norm2"
            };
            pieces.biased("linear1", "fc1");
            pieces.biased("linear2", "fc2");
            pieces.biased(last, "final_layer_norm");
        }
    }
    pieces.under("decoder.", "").add("projection.bias", "final_logits_bias");
    if !config.tie.joins_output() {
        pieces.weight("projection", "lm_head");
    }
    pieces.all
}
