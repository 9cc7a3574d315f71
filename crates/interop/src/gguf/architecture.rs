//! What llama.cpp calls the families, and what it has of each: one row for each of its architectures.

use crate::Family;
use descant_autograd::Activation;
use descant_models::{ModelConfig, Tie};
use descant_nn::{RotaryScaling, TransformerConfig};

/// An architecture of llama.cpp.
pub(super) struct Architecture {
    pub(super) name: &'static str,
    /// The families that are written as it; a file is read as the first.
    pub(super) families: &'static [Family],
    activation: Activation,
    /// Whether it has rotary positions, and norms by the root mean square.
    pub(super) rotary: bool,
    /// Whether it turns neighbouring columns of a head, not those of its two halves.
    pub(super) turns_neighbours: bool,
    pub(super) output: Output,
    pub(super) windows: Windows,
    /// Whether it reads the factors of rotary frequencies.
    factors: bool,
    /// Whether heads may have another width than their share of the model's.
    free_heads: bool,
    /// Whether what a part adds is normalised too.
    norms_after: bool,
    /// Soft caps of scores and of logits.
    pub(super) caps: [Cap; 2],
    /// The number of layers at which queries are scaled by the model's width shared among its heads, not by a head's.
    shared_scale_at: Option<usize>,
}

/// Where the projection to the vocabulary is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Output {
    /// In a tensor, or the embedding.
    Either,
    /// Always the embedding.
    Tied,
    /// In a tensor, be it the embedding again.
    Written,
}

/// What it has of sliding windows.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Windows {
    /// Every layer sees all.
    None,
    /// The same, though files name a window.
    Named,
    /// All layers but each of a number have a window; of this number where no key says another.
    AllBut(usize),
}

/// Whether there is a soft cap.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Cap {
    Never,
    Maybe,
    Always,
}

const LLAMA: Architecture = Architecture {
    name: "llama",
    families: &[Family::Llama, Family::Mistral],
    activation: Activation::Silu,
    rotary: true,
    turns_neighbours: true,
    output: Output::Either,
    windows: Windows::None,
    factors: true,
    free_heads: true,
    norms_after: false,
    caps: [Cap::Never; 2],
    shared_scale_at: None,
};
const GPT2: Architecture = Architecture {
    name: "gpt2",
    families: &[Family::Gpt2],
    activation: Activation::GeluTanh,
    rotary: false,
    turns_neighbours: false,
    output: Output::Written,
    factors: false,
    ..LLAMA
};
const QWEN2: Architecture =
    Architecture { name: "qwen2", families: &[Family::Qwen2], turns_neighbours: false, factors: false, ..LLAMA };
const QWEN3: Architecture = Architecture { name: "qwen3", families: &[Family::Qwen3], ..QWEN2 };
const GEMMA: Architecture = Architecture {
    name: "gemma",
    families: &[Family::Gemma],
    activation: Activation::GeluTanh,
    output: Output::Tied,
    ..QWEN2
};
const GEMMA2: Architecture = Architecture {
    name: "gemma2",
    families: &[Family::Gemma2],
    windows: Windows::AllBut(2),
    norms_after: true,
    caps: [Cap::Always; 2],
    shared_scale_at: Some(46),
    ..GEMMA
};
const GEMMA3: Architecture = Architecture {
    name: "gemma3",
    families: &[Family::Gemma3],
    output: Output::Either,
    windows: Windows::AllBut(6),
    caps: [Cap::Never, Cap::Maybe],
    shared_scale_at: Some(62),
    ..GEMMA2
};
const OLMO2: Architecture = Architecture {
    name: "olmo2",
    families: &[Family::Olmo2],
    output: Output::Written,
    free_heads: false,
    norms_after: true,
    ..QWEN2
};
const PHI3: Architecture =
    Architecture { name: "phi3", families: &[Family::Phi3], windows: Windows::Named, free_heads: false, ..QWEN2 };

pub(super) const ARCHITECTURES: [Architecture; 9] = [GPT2, LLAMA, QWEN2, QWEN3, GEMMA, GEMMA2, GEMMA3, OLMO2, PHI3];

/// The parts of a tensor's name that architectures share, in a folder of `transformers` and in a file.
const PARTS: [(&str, &str); 27] = [
    ("transformer.wte.", "token_embd."),
    ("transformer.wpe.", "position_embd."),
    ("transformer.ln_f.", "output_norm."),
    ("transformer.h.", "blk."),
    (".ln_1.", ".attn_norm."),
    (".attn.c_attn.", ".attn_qkv."),
    (".attn.c_proj.", ".attn_output."),
    (".ln_2.", ".ffn_norm."),
    (".mlp.c_fc.", ".ffn_up."),
    (".mlp.c_proj.", ".ffn_down."),
    ("model.embed_tokens.", "token_embd."),
    ("model.norm.", "output_norm."),
    ("model.layers.", "blk."),
    (".input_layernorm.", ".attn_norm."),
    (".self_attn.q_proj.", ".attn_q."),
    (".self_attn.k_proj.", ".attn_k."),
    (".self_attn.v_proj.", ".attn_v."),
    (".self_attn.qkv_proj.", ".attn_qkv."),
    (".self_attn.o_proj.", ".attn_output."),
    (".self_attn.q_norm.", ".attn_q_norm."),
    (".self_attn.k_norm.", ".attn_k_norm."),
    (".mlp.gate_proj.", ".ffn_gate."),
    (".mlp.up_proj.", ".ffn_up."),
    (".mlp.gate_up_proj.", ".ffn_up."),
    (".mlp.down_proj.", ".ffn_down."),
    (".pre_feedforward_layernorm.", ".ffn_norm."),
    ("lm_head.", "output."),
];
/// Those of norms that stand before the feed-forward layer, or behind each part.
const NORMS_BEFORE: &[(&str, &str)] = &[(".post_attention_layernorm.", ".ffn_norm.")];
const NORMS_AFTER: &[(&str, &str)] =
    &[(".post_attention_layernorm.", ".post_attention_norm."), (".post_feedforward_layernorm.", ".post_ffw_norm.")];

impl Architecture {
    pub(super) fn of(family: Family) -> Option<&'static Self> {
        ARCHITECTURES.iter().find(|known| known.families.contains(&family))
    }

    /// The one of this name.
    ///
    /// # Errors
    /// Which ones are known.
    pub(super) fn named(name: &str) -> Result<&'static Self, String> {
        ARCHITECTURES.iter().find(|known| known.name == name).ok_or_else(|| {
            let known = ARCHITECTURES.each_ref().map(|known| known.name).join(", ");
            format!("general.architecture = {name:?}: known are {known}")
        })
    }

    /// The name that a tensor of a folder has.
    pub(super) fn tensor(&self, theirs: &str) -> String {
        let norms = if self.norms_after { NORMS_AFTER } else { NORMS_BEFORE };
        PARTS.iter().chain(norms).fold(theirs.to_owned(), |name, (part, short)| name.replace(part, short))
    }

    /// What its scores are divided by the root of.
    pub(super) fn query_scalar(&self, layers: usize, width: usize, heads: usize, head: usize) -> usize {
        if self.shared_scale_at == Some(layers) { width / heads.max(1) } else { head }
    }

    /// That it has all that a model is.
    ///
    /// # Errors
    /// The key of the recipe that it has no form for.
    pub(super) fn fits(&self, model: &ModelConfig) -> Result<(), String> {
        let transformer = model.transformer();
        let name = self.name;
        let needs = |key: &str, value: String, needed: &str| -> Result<(), String> {
            Err(format!("as GGUF, {key} = {value} has no form in llama.cpp's {name}: it needs {needed}"))
        };
        let json = |value: serde_json::Result<String>| value.unwrap_or_default();
        if transformer.activation != self.activation {
            return needs(
                "model.transformer.activation",
                json(serde_json::to_string(&transformer.activation)),
                &json(serde_json::to_string(&self.activation)),
            );
        }
        if self.output == Output::Tied && !model.tie.joins_output() {
            return needs("model.tie", json(serde_json::to_string(&model.tie)), "\"output\"");
        }
        let head = transformer.head_dim(model.hidden);
        if !self.free_heads && head * transformer.heads != model.hidden {
            let share = model.hidden / transformer.heads.max(1);
            return needs("model.transformer.head_dim", head.to_string(), &share.to_string());
        }
        if let (false, Some(RotaryScaling::Llama3 { .. })) = (self.factors, transformer.rotary_scaling) {
            return needs("model.transformer.rotary_scaling.kind", "\"llama3\"".to_owned(), "\"linear\", or none");
        }
        let scalar = self.query_scalar(model.layers, model.hidden, transformer.heads, head) as f64;
        let own = transformer.query_pre_attn_scalar.unwrap_or(head as f64);
        if self.rotary && own != scalar {
            return needs("model.transformer.query_pre_attn_scalar", own.to_string(), &scalar.to_string());
        }
        let caps = [
            ("model.transformer.attention_soft_cap", transformer.attention_soft_cap),
            ("model.output_soft_cap", model.output_soft_cap),
        ];
        for ((key, cap), known) in caps.into_iter().zip(self.caps) {
            if known == Cap::Always && cap.is_none() {
                return needs(key, "none".to_owned(), "a number");
            }
        }
        match self.period(model.layers, &transformer) {
            Some(_) => Ok(()),
            None => needs(
                "model.transformer.full_layers",
                format!("{:?}", transformer.full_layers),
                "every second, third, … layer to see all, counted from the first",
            ),
        }
    }

    /// Of how many layers the last one sees all, 0 where none does. `None` where it cannot be said so.
    pub(super) fn period(&self, layers: usize, transformer: &TransformerConfig) -> Option<usize> {
        let Windows::AllBut(usual) = self.windows else { return Some(1) };
        let windowed = |layer: usize| transformer.window.is_some() && !transformer.full_layers.contains(&layer);
        let same = |&period: &usize| (0..layers).all(|layer| windowed(layer) == is_windowed(layer, period));
        std::iter::once(usual).chain(0..=layers).find(same)
    }
}

/// Whether a layer has a window where this many have one that sees all.
pub(super) fn is_windowed(layer: usize, period: usize) -> bool {
    period == 0 || layer % period < period - 1
}

/// Whether a table is written again as the output.
pub(super) fn repeats_output(architecture: &Architecture, tie: Tie) -> bool {
    architecture.output == Output::Written && tie != Tie::None
}
