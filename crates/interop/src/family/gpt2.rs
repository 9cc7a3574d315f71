use super::model;
use crate::config_keys::{Keys, activation_name};
use crate::tensor_names::{TensorName, TensorTable};
use descant_models::{ModelConfig, ModelKind, Tie};
use descant_nn::{Position, TransformerConfig};
use serde_json::{Value, json};

pub(super) fn read(keys: &Keys<'_>) -> Result<ModelConfig, String> {
    for (key, needed) in
        [("scale_attn_weights", true), ("scale_attn_by_inverse_layer_idx", false), ("add_cross_attention", false)]
    {
        keys.needs(key, needed)?;
    }
    // The same numbers, computed in another order.
    keys.flag("reorder_and_upcast_attn", false)?;
    let hidden = keys.number("n_embd")?;
    let transformer = TransformerConfig {
        heads: keys.number("n_head")?,
        d_ff: Some(keys.number_or("n_inner", 4 * hidden)?),
        activation: keys.activation("activation_function", "gelu_new")?,
        norm_epsilon: keys.real("layer_norm_epsilon", 1e-5)?,
        position: Position::Learned,
        max_length: keys.number_if("n_positions")?.map_or_else(|| keys.number("n_ctx"), Ok)?,
        attention_dropout: keys.dropout("attn_pdrop", 0.1)?,
        ..TransformerConfig::default()
    };
    // Repeats the number of positions.
    keys.number_if("n_ctx")?;
    let dropout = keys.dropout("resid_pdrop", 0.1)?;
    keys.dropout("embd_pdrop", 0.1)?;
    let tie = if keys.flag("tie_word_embeddings", true)? { Tie::Output } else { Tie::None };
    let config = model(ModelKind::LanguageModel, hidden, (1, keys.number("n_layer")?), tie, transformer);
    Ok(ModelConfig { dropout, ..config })
}

pub(super) fn write(config: &ModelConfig) -> Value {
    let t = config.transformer();
    json!({
        "n_embd": config.hidden, "n_layer": config.layers, "n_head": t.heads, "n_positions": t.max_length,
        "n_inner": t.d_ff(config.hidden), "activation_function": activation_name(t.activation),
        "layer_norm_epsilon": t.norm_epsilon, "resid_pdrop": config.dropout, "embd_pdrop": config.dropout,
        "attn_pdrop": t.attention_dropout,
    })
}

pub(super) fn tensor_names(config: &ModelConfig) -> Vec<TensorName> {
    let mut pieces = TensorTable::default();
    // Its layers are [in, out].
    let conv = |pieces: &mut TensorTable, [weight, bias]: [&str; 2], theirs: &str| {
        pieces.add(weight, &format!("{theirs}.weight")).transposed = true;
        pieces.add(bias, &format!("{theirs}.bias"));
    };
    pieces.under("decoder.", "transformer.");
    pieces.weight("embedding", "wte");
    pieces.weight("position", "wpe");
    for l in 0..config.layers {
        pieces.under(format!("decoder.layers.{l}."), format!("transformer.h.{l}."));
        pieces.biased("norm1", "ln_1");
        conv(&mut pieces, ["self_attn.in_proj_weight", "self_attn.in_proj_bias"], "attn.c_attn");
        conv(&mut pieces, ["self_attn.out_proj.weight", "self_attn.out_proj.bias"], "attn.c_proj");
        pieces.biased("norm2", "ln_2");
        conv(&mut pieces, ["linear1.weight", "linear1.bias"], "mlp.c_fc");
        conv(&mut pieces, ["linear2.weight", "linear2.bias"], "mlp.c_proj");
    }
    pieces.under("decoder.", "transformer.").biased("norm", "ln_f");
    if config.tie == Tie::None {
        pieces.under("decoder.", "").weight("projection", "lm_head");
    }
    pieces.all
}
