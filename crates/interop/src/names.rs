//! Which tensor of a family is which part of which parameter: one table, read in both directions.

use crate::Family;
use descant_models::{ModelConfig, Tie};
use std::ops::Range;

/// A tensor of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Our parameter.
    pub(crate) ours: String,
    /// Its rows, where it is not the whole.
    pub(crate) rows: Option<Range<usize>>,
    /// Their tensor.
    pub(crate) theirs: String,
    /// Whether theirs is `[in, out]`.
    pub(crate) turned: bool,
}

/// The table under construction: a prefix on either side.
struct Pieces {
    all: Vec<Piece>,
    ours: String,
    theirs: String,
}

impl Pieces {
    fn under(&mut self, ours: impl Into<String>, theirs: impl Into<String>) -> &mut Self {
        (self.ours, self.theirs) = (ours.into(), theirs.into());
        self
    }

    fn add(&mut self, ours: &str, theirs: &str, rows: Option<Range<usize>>, turned: bool) {
        let (ours, theirs) = (format!("{}{ours}", self.ours), format!("{}{theirs}", self.theirs));
        self.all.push(Piece { ours, rows, theirs, turned });
    }

    fn weight(&mut self, ours: &str, theirs: &str) {
        self.add(&format!("{ours}.weight"), &format!("{theirs}.weight"), None, false);
    }

    /// A layer with a bias.
    fn biased(&mut self, ours: &str, theirs: &str) {
        self.weight(ours, theirs);
        self.add(&format!("{ours}.bias"), &format!("{theirs}.bias"), None, false);
    }

    /// GPT-2's layers are `[in, out]`.
    fn conv(&mut self, ours: (&str, &str), theirs: &str) {
        self.add(ours.0, &format!("{theirs}.weight"), None, true);
        self.add(ours.1, &format!("{theirs}.bias"), None, false);
    }

    /// Queries, keys and values, which are one parameter here.
    fn attention(&mut self, ours: &str, theirs: [&str; 3], (queries, keys): (usize, usize), bias: bool) {
        let bounds = [0, queries, queries + keys, queries + 2 * keys];
        for (i, name) in theirs.into_iter().enumerate() {
            let rows = Some(bounds[i]..bounds[i + 1]);
            self.add(&format!("{ours}.in_proj_weight"), &format!("{name}.weight"), rows.clone(), false);
            if bias {
                self.add(&format!("{ours}.in_proj_bias"), &format!("{name}.bias"), rows, false);
            }
        }
    }
}

/// The table of a model.
pub(crate) fn pieces(family: Family, config: &ModelConfig) -> Vec<Piece> {
    let transformer = config.transformer();
    let head = transformer.head_width(config.hidden);
    let columns = (transformer.heads * head, transformer.key_value_heads() * head);
    let between = transformer.feed_forward(config.hidden);
    let untied = config.tie == Tie::None;
    let mut pieces = Pieces { all: Vec::new(), ours: String::new(), theirs: String::new() };
    match family {
        Family::Gpt2 => {
            pieces.under("decoder.", "transformer.");
            pieces.weight("embedding", "wte");
            pieces.weight("position", "wpe");
            for l in 0..config.layers {
                pieces.under(format!("decoder.layers.{l}."), format!("transformer.h.{l}."));
                pieces.biased("norm1", "ln_1");
                pieces.conv(("self_attn.in_proj_weight", "self_attn.in_proj_bias"), "attn.c_attn");
                pieces.conv(("self_attn.out_proj.weight", "self_attn.out_proj.bias"), "attn.c_proj");
                pieces.biased("norm2", "ln_2");
                pieces.conv(("linear1.weight", "linear1.bias"), "mlp.c_fc");
                pieces.conv(("linear2.weight", "linear2.bias"), "mlp.c_proj");
            }
            pieces.under("decoder.", "transformer.").biased("norm", "ln_f");
            if untied {
                pieces.under("decoder.", "").weight("projection", "lm_head");
            }
        }
        Family::Llama | Family::Qwen2 => {
            pieces.under("decoder.", "model.").weight("embedding", "embed_tokens");
            for l in 0..config.layers {
                pieces.under(format!("decoder.layers.{l}."), format!("model.layers.{l}."));
                pieces.weight("norm1", "input_layernorm");
                let names = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
                pieces.attention("self_attn", names, columns, family == Family::Qwen2);
                pieces.weight("self_attn.out_proj", "self_attn.o_proj");
                pieces.weight("norm2", "post_attention_layernorm");
                pieces.add("linear1.weight", "mlp.gate_proj.weight", Some(0..between), false);
                pieces.add("linear1.weight", "mlp.up_proj.weight", Some(between..2 * between), false);
                pieces.weight("linear2", "mlp.down_proj");
            }
            pieces.under("decoder.", "model.").weight("norm", "norm");
            if untied {
                pieces.under("decoder.", "").weight("projection", "lm_head");
            }
        }
        Family::Marian => {
            pieces.under("encoder.", "model.").weight("embedding", "shared");
            for (ours, layers) in [("encoder", config.encoder_layers), ("decoder", config.layers)] {
                for l in 0..layers {
                    pieces.under(format!("{ours}.layers.{l}."), format!("model.{ours}.layers.{l}."));
                    let part = |pieces: &mut Pieces, own: &str, theirs: &str, norm: &str| {
                        let names = ["q_proj", "k_proj", "v_proj"].map(|name| format!("{theirs}.{name}"));
                        pieces.attention(own, [&names[0], &names[1], &names[2]], columns, true);
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
            pieces.under("decoder.", "").add("projection.bias", "final_logits_bias", None, false);
        }
        Family::T5 => {
            pieces.under("encoder.", "").weight("embedding", "shared");
            for (ours, layers) in [("encoder", config.encoder_layers), ("decoder", config.layers)] {
                for l in 0..layers {
                    let part = |pieces: &mut Pieces, i: usize| {
                        pieces.under(format!("{ours}.layers.{l}."), format!("{ours}.block.{l}.layer.{i}."));
                        pieces.weight(&format!("norm{}", i + 1), "layer_norm");
                    };
                    let attention = |pieces: &mut Pieces, own: &str, theirs: &str| {
                        let names = ["q", "k", "v"].map(|name| format!("{theirs}.{name}"));
                        pieces.attention(own, [&names[0], &names[1], &names[2]], columns, false);
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
                        pieces.add("linear1.weight", "DenseReluDense.wi_0.weight", Some(0..between), false);
                        pieces.add("linear1.weight", "DenseReluDense.wi_1.weight", Some(between..2 * between), false);
                    } else {
                        pieces.weight("linear1", "DenseReluDense.wi");
                    }
                    pieces.weight("linear2", "DenseReluDense.wo");
                }
                pieces.under(format!("{ours}."), format!("{ours}."));
                pieces.weight("relative", "block.0.layer.0.SelfAttention.relative_attention_bias");
                pieces.weight("norm", "final_layer_norm");
            }
        }
    }
    pieces.all
}
