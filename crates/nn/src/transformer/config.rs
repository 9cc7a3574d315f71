use super::position::{Position, RotaryScaling, rotary_frequencies};
use crate::NormKind;
use descant_autograd::{Activation, AttentionConfig, PositionBias, alibi_slopes};
use descant_tensor::Brief;
use serde::{Deserialize, Serialize};

/// QK norm: normalisation of queries and keys before RoPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QkNorm {
    /// Each head by itself (Dehghani et al. 2023, arXiv 2302.05442).
    Head,
    /// All heads together.
    All,
}

/// What a multi-head attention attends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttentionKind {
    /// All tokens of the same sequence: an encoder's.
    Bidirectional,
    /// The tokens before: a decoder's, through the sliding window if `local`.
    Causal { local: bool },
    /// An encoded source.
    Cross,
}

/// Hyperparameters of Transformer layers: the `[model.transformer]` table of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransformerConfig {
    /// Attention heads.
    pub heads: usize,
    /// Key and value heads: a divisor of `heads`, by default as many (grouped-query attention, Ainslie et al. 2023,
    /// arXiv 2305.13245).
    #[serde(rename = "key_value_heads", skip_serializing_if = "Option::is_none")]
    pub kv_heads: Option<usize>,
    /// Columns of one head (head_dim); by default `hidden / heads`.
    #[serde(rename = "head_width", skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// Feed-forward inner size (d_ff); by default `4 · hidden`.
    #[serde(rename = "feed_forward", skip_serializing_if = "Option::is_none")]
    pub d_ff: Option<usize>,
    /// `relu`, `gelu`, `gelu-tanh`, `silu`, `tanh`, `sigmoid`.
    pub activation: Activation,
    /// Gated linear unit in the feed-forward layer: with `silu` SwiGLU, with `gelu` GeGLU.
    pub gated: bool,
    /// `layer` or `rms`.
    pub norm: NormKind,
    /// Epsilon of the norms, added to the variance.
    pub norm_epsilon: f64,
    /// Pre-norm: each sublayer normalises its input; otherwise post-norm, of the residual sum.
    pub norm_first: bool,
    /// Whether each sublayer normalises its output before the residual sum: with `norm_first` both (Ding et al. 2021,
    /// arXiv 2105.13290), without it only this (Liu et al. 2022, arXiv 2111.09883).
    pub norm_output: bool,
    /// Whether embeddings are normalised, after positions are added.
    pub norm_embedding: bool,
    /// QK norm over each `head`, or over `all` of them; by default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qk_norm: Option<QkNorm>,
    /// `none`, `sinusoidal`, `learned`, `rotary`, `alibi`, `relative`.
    pub position: Position,
    /// The longest sequence, where positions are learned.
    pub max_length: usize,
    /// The base of the RoPE frequencies (theta).
    pub rotary_base: f64,
    /// RoPE scaling for contexts longer than in training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotary_scaling: Option<RotaryScaling>,
    /// The RoPE base of layers with a sliding window, without scaling; by default as the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_rotary_base: Option<f64>,
    /// Buckets of relative positions.
    pub relative_buckets: usize,
    /// Distances from here on share a bucket.
    pub relative_max_distance: usize,
    /// Sliding-window attention of a decoder: how many tokens a query sees, itself included; by default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    /// The layers, from 0, with full attention in spite of a window.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub full_layers: Vec<usize>,
    /// Whether linear layers have biases.
    pub bias: bool,
    /// Whether the query, key and value projections have biases; by default as `bias`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_bias: Option<bool>,
    /// Whether attention scores are divided by `√head_dim`.
    pub scale_attention: bool,
    /// Attention scores are divided by the root of this number; by default of head_dim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_pre_attn_scalar: Option<f64>,
    /// Soft cap `c` of the attention scores, `s → c tanh(s / c)`; by default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_soft_cap: Option<f64>,
    /// Whether embeddings are multiplied by `√hidden`; by default with sinusoidal positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_embedding: Option<bool>,
    /// Whether the last hidden state is divided by `√hidden`, as in T5 with tied embeddings.
    pub scale_output: bool,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
    /// Dropout inside the feed-forward layer, after its activation.
    pub activation_dropout: f64,
    /// LayerDrop: the probability of skipping a whole layer in training (Fan et al. 2020, arXiv 1909.11556).
    pub layer_drop: f64,
    /// Activation checkpointing: a layer's activations are dropped after forward and rematerialised in backward (Chen et
    /// al. 2016, arXiv 1604.06174). Less memory for a third more work.
    pub recompute: bool,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            heads: 4,
            kv_heads: None,
            head_dim: None,
            d_ff: None,
            activation: Activation::Gelu,
            gated: false,
            norm: NormKind::Layer,
            norm_epsilon: 1e-5,
            norm_first: true,
            norm_output: false,
            norm_embedding: false,
            qk_norm: None,
            position: Position::Rotary,
            max_length: 1024,
            rotary_base: 10_000.0,
            rotary_scaling: None,
            local_rotary_base: None,
            relative_buckets: 32,
            relative_max_distance: 128,
            window: None,
            full_layers: Vec::new(),
            bias: true,
            attention_bias: None,
            scale_attention: true,
            query_pre_attn_scalar: None,
            attention_soft_cap: None,
            scale_embedding: None,
            scale_output: false,
            attention_dropout: 0.0,
            activation_dropout: 0.0,
            layer_drop: 0.0,
            recompute: false,
        }
    }
}

impl TransformerConfig {
    /// Key and value heads.
    pub fn kv_heads(&self) -> usize {
        self.kv_heads.unwrap_or(self.heads)
    }

    /// Columns of one head in a model of this width.
    pub fn head_dim(&self, d_model: usize) -> usize {
        self.head_dim.unwrap_or(d_model / self.heads.max(1))
    }

    /// Feed-forward inner size in a model of this width.
    pub fn d_ff(&self, d_model: usize) -> usize {
        self.d_ff.unwrap_or(4 * d_model)
    }

    /// Whether embeddings are multiplied by the root of d_model.
    pub fn scales_embedding(&self) -> bool {
        self.scale_embedding.unwrap_or(self.position == Position::Sinusoidal)
    }

    /// Whether a layer has sliding-window attention.
    pub(super) fn is_local(&self, layer: usize) -> bool {
        self.window.is_some() && !self.full_layers.contains(&layer)
    }

    /// Whether every layer has sliding-window attention.
    pub fn is_all_local(&self) -> bool {
        self.window.is_some() && self.full_layers.is_empty()
    }

    /// Whether a final norm follows the last layer: where no layer normalises its residual sum.
    pub fn has_last_norm(&self) -> bool {
        self.norm_first || self.norm_output
    }

    /// The attention of a layer in a model of this width.
    pub(super) fn attention(&self, d_model: usize, kind: AttentionKind) -> AttentionConfig {
        let head_dim = self.head_dim(d_model);
        let bias = match self.position {
            Position::Alibi if kind != AttentionKind::Cross => PositionBias::Alibi(alibi_slopes(self.heads)),
            Position::Relative if kind != AttentionKind::Cross => PositionBias::Buckets {
                buckets: self.relative_buckets,
                max_distance: self.relative_max_distance,
                bidirectional: kind == AttentionKind::Bidirectional,
            },
            _ => PositionBias::None,
        };
        AttentionConfig {
            heads: self.heads,
            kv_heads: self.kv_heads(),
            head_dim,
            scale: match self.scale_attention {
                true => 1.0 / self.query_pre_attn_scalar.unwrap_or(head_dim.max(1) as f64).sqrt(),
                false => 1.0,
            },
            causal: matches!(kind, AttentionKind::Causal { .. }),
            window: self.window.filter(|_| kind == AttentionKind::Causal { local: true }),
            bias,
            soft_cap: self.attention_soft_cap,
            dropout: self.attention_dropout,
        }
    }

    /// RoPE frequencies in radians a position, `head_dim / 2` of them.
    pub fn frequencies(&self, d_model: usize) -> Vec<f64> {
        rotary_frequencies(self.rotary_base, self.head_dim(d_model), self.rotary_scaling)
    }

    /// The same in layers with a sliding window.
    pub(super) fn local_frequencies(&self, d_model: usize) -> Vec<f64> {
        match self.local_rotary_base {
            Some(base) => rotary_frequencies(base, self.head_dim(d_model), None),
            None => self.frequencies(d_model),
        }
    }

    /// That the sizes make sense together, in a model of this width.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate(&self, d_model: usize) -> Result<(), String> {
        let fail = |key: &str, value: &dyn std::fmt::Display, expected: &str| {
            Err(format!("model.transformer.{key} = {value}: expected {expected}"))
        };
        if self.heads == 0 || self.heads > 1024 {
            return fail("heads", &self.heads, "a number from 1 to 1024");
        }
        if self.head_dim.is_none() && !d_model.is_multiple_of(self.heads) {
            return fail(
                "heads",
                &self.heads,
                &format!("a divisor of model.hidden = {d_model}, or head_width beside it"),
            );
        }
        let head_dim = self.head_dim(d_model);
        if head_dim == 0 || head_dim > 4096 {
            return fail("head_width", &head_dim, "a number from 1 to 4096");
        }
        if self.position == Position::Rotary && !head_dim.is_multiple_of(2) {
            return fail("head_width", &head_dim, "an even number, for position = \"rotary\"");
        }
        let kv_heads = self.kv_heads();
        if kv_heads == 0 || !self.heads.is_multiple_of(kv_heads) {
            return fail("key_value_heads", &kv_heads, &format!("a divisor of heads = {}", self.heads));
        }
        let d_ff = self.d_ff(d_model);
        if d_ff == 0 || d_ff > 1 << 20 {
            return fail("feed_forward", &d_ff, "a number from 1 to 1048576");
        }
        if !(self.norm_epsilon > 0.0 && self.norm_epsilon < 1.0) {
            return fail("norm_epsilon", &Brief(self.norm_epsilon), "a number between 0 and 1");
        }
        if self.max_length == 0 || self.max_length > 1 << 24 {
            return fail("max_length", &self.max_length, "a number from 1 to 16777216");
        }
        if !(self.rotary_base > 1.0 && self.rotary_base.is_finite()) {
            return fail("rotary_base", &Brief(self.rotary_base), "a number above 1");
        }
        if let Some(base) = self.local_rotary_base.filter(|base| !(*base > 1.0 && base.is_finite())) {
            return fail("local_rotary_base", &Brief(base), "a number above 1");
        }
        let positive =
            [("query_pre_attn_scalar", self.query_pre_attn_scalar), ("attention_soft_cap", self.attention_soft_cap)];
        for (key, value) in positive {
            if let Some(value) = value.filter(|value| !(*value > 0.0 && value.is_finite())) {
                return fail(key, &Brief(value), "a number above 0");
            }
        }
        if self.window.is_none() && !self.full_layers.is_empty() {
            return Err("model.transformer.full_layers: expected window beside it".to_owned());
        }
        match self.rotary_scaling {
            Some(RotaryScaling::Linear { factor } | RotaryScaling::Llama3 { factor, .. })
                if !(factor >= 1.0 && factor.is_finite()) =>
            {
                return fail("rotary_scaling.factor", &Brief(factor), "a number from 1");
            }
            Some(RotaryScaling::Llama3 { low, high, .. }) if !(low > 0.0 && high > low && high.is_finite()) => {
                return fail("rotary_scaling.low", &Brief(low), "a number above 0 and below rotary_scaling.high");
            }
            _ => {}
        }
        if self.relative_buckets < 4 || self.relative_buckets > 1 << 16 || self.relative_buckets % 2 == 1 {
            return fail("relative_buckets", &self.relative_buckets, "an even number from 4 to 65536");
        }
        if self.relative_max_distance <= self.relative_buckets {
            return fail("relative_max_distance", &self.relative_max_distance, "more than relative_buckets");
        }
        if self.window == Some(0) {
            return fail("window", &0, "1 or more");
        }
        let probabilities = [
            ("attention_dropout", self.attention_dropout),
            ("activation_dropout", self.activation_dropout),
            ("layer_drop", self.layer_drop),
        ];
        match probabilities.into_iter().find(|(_, p)| !(0.0..1.0).contains(p)) {
            Some((key, p)) => fail(key, &Brief(p), "a number from 0 to below 1"),
            None => Ok(()),
        }
    }
}
