use crate::NormKind;
use descant_autograd::{Activation, AttentionConfig, PositionBias, alibi_slopes};
use descant_tensor::Brief;
use serde::{Deserialize, Serialize};

/// How a Transformer knows where a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// It does not.
    None,
    /// Sines and cosines are added to the embeddings (Vaswani et al. 2017, arXiv 1706.03762), the sines first.
    Sinusoidal,
    /// Learned vectors are added to the embeddings.
    Learned,
    /// Queries and keys are rotated (Su et al. 2021, arXiv 2104.09864).
    Rotary,
    /// Scores fall with the distance (Press et al. 2022, arXiv 2108.12409).
    Alibi,
    /// A learned number for each head and bucket of distances is added to the scores (Raffel et al. 2020,
    /// arXiv 1910.10683).
    Relative,
}

/// What of the queries and keys is normalised, before they are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QkNorm {
    /// Each head by itself (Dehghani et al. 2023, arXiv 2302.05442).
    Head,
    /// All heads together.
    All,
}

/// How rotary positions segments further than in training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RotaryScaling {
    /// Positions are divided by a factor (Chen et al. 2023, arXiv 2306.15595).
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Low frequencies are divided by a factor, high ones stay, as in Llama 3.1.
    Llama3 {
        /// The factor.
        factor: f64,
        /// Wavelengths above `original_length / low` are scaled whole.
        low: f64,
        /// Wavelengths below `original_length / high` stay.
        high: f64,
        /// The length in training.
        original_length: usize,
    },
}

/// The sizes and kinds of Transformer layers: the `[model.transformer]` table of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransformerConfig {
    /// Heads of attention.
    pub heads: usize,
    /// Heads of the keys and values: a divisor of `heads`, and by default as many (Ainslie et al. 2023,
    /// arXiv 2305.13245).
    #[serde(rename = "key_value_heads", skip_serializing_if = "Option::is_none")]
    pub kv_heads: Option<usize>,
    /// Columns of a head; by default the model's width shared among them.
    #[serde(rename = "head_width", skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// Width between the two products of the feed-forward layer; by default four times the model's.
    #[serde(rename = "feed_forward", skip_serializing_if = "Option::is_none")]
    pub d_ff: Option<usize>,
    /// `relu`, `gelu`, `gelu-tanh`, `silu`, `tanh`, `sigmoid`.
    pub activation: Activation,
    /// Whether the activation gates a second product: with `silu` SwiGLU, with `gelu` GeGLU.
    pub gated: bool,
    /// `layer` or `rms`.
    pub norm: NormKind,
    /// What is added to the variance.
    pub norm_epsilon: f64,
    /// Whether each part normalises what it reads, rather than its sum with what it read.
    pub norm_first: bool,
    /// Whether each part normalises what it adds to what it read: with `norm_first` both (Ding et al. 2021,
    /// arXiv 2105.13290), without it this alone (Liu et al. 2022, arXiv 2111.09883).
    pub norm_output: bool,
    /// Whether embeddings are normalised, after positions are added.
    pub norm_embedding: bool,
    /// Which queries and keys are normalised: those of each `head`, or `all` together; by default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qk_norm: Option<QkNorm>,
    /// `none`, `sinusoidal`, `learned`, `rotary`, `alibi`, `relative`.
    pub position: Position,
    /// The longest sequence, where positions are learned.
    pub max_length: usize,
    /// The base of the rotary frequencies.
    pub rotary_base: f64,
    /// How rotary positions segments further than in training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotary_scaling: Option<RotaryScaling>,
    /// The base in layers that see a window alone, without scaling; by default as the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_rotary_base: Option<f64>,
    /// Buckets of relative positions.
    pub relative_buckets: usize,
    /// Distances from here on share a bucket.
    pub relative_max_distance: usize,
    /// How many tokens back a decoder sees; by default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    /// The layers, from 0, that see all tokens in spite of a window.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub full_layers: Vec<usize>,
    /// Whether linear layers have biases.
    pub bias: bool,
    /// The same of the queries, keys and values; by default as `bias`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_bias: Option<bool>,
    /// Whether scores are divided by the root of a head's width.
    pub scale_attention: bool,
    /// Scores are divided by the root of this number; by default of a head's width.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_pre_attn_scalar: Option<f64>,
    /// The limit `c` that scores `s` come near and never segments, `c tanh(s / c)`; by default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_soft_cap: Option<f64>,
    /// Whether embeddings are multiplied by the root of the width; by default with sinusoidal positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_embedding: Option<bool>,
    /// Whether the last hidden state is divided by the root of the width, as in T5 with tied tables.
    pub scale_output: bool,
    /// The share of attention weights dropped in training.
    pub attention_dropout: f64,
    /// The share of values dropped between the products of the feed-forward layer.
    pub activation_dropout: f64,
    /// The probability of leaving out a whole layer in training (Fan et al. 2020, arXiv 1909.11556).
    pub layer_drop: f64,
    /// Whether what a layer computes is dropped after forward and computed again in backward (activation checkpointing,
    /// Chen et al. 2016, arXiv 1604.06174): less memory for a third more work.
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
    /// Heads of the keys and values.
    pub fn kv_heads(&self) -> usize {
        self.kv_heads.unwrap_or(self.heads)
    }

    /// Columns of a head in a model of this width.
    pub fn head_dim(&self, width: usize) -> usize {
        self.head_dim.unwrap_or(width / self.heads.max(1))
    }

    /// Width of the feed-forward layer in a model of this width.
    pub fn d_ff(&self, width: usize) -> usize {
        self.d_ff.unwrap_or(4 * width)
    }

    /// Whether embeddings are multiplied by the root of the width.
    pub fn scales_embedding(&self) -> bool {
        self.scale_embedding.unwrap_or(self.position == Position::Sinusoidal)
    }

    /// Whether a layer sees a window alone.
    pub(super) fn is_local(&self, layer: usize) -> bool {
        self.window.is_some() && !self.full_layers.contains(&layer)
    }

    /// Whether every layer sees a window alone.
    pub fn is_all_local(&self) -> bool {
        self.window.is_some() && self.full_layers.is_empty()
    }

    /// Whether a norm follows the last layer, as no layer normalises the sum it hands on.
    pub fn has_last_norm(&self) -> bool {
        self.norm_first || self.norm_output
    }

    /// How queries look at keys, in a model of this width. `own`: in the same sequence, rather than in a source; `local`:
    /// through the window.
    pub(super) fn attention(&self, width: usize, own: bool, causal: bool, local: bool) -> AttentionConfig {
        let head = self.head_dim(width);
        let bias = match self.position {
            Position::Alibi if own => PositionBias::Alibi(alibi_slopes(self.heads)),
            Position::Relative if own => PositionBias::Buckets {
                buckets: self.relative_buckets,
                max_distance: self.relative_max_distance,
                bidirectional: !causal,
            },
            _ => PositionBias::None,
        };
        AttentionConfig {
            heads: self.heads,
            kv_heads: self.kv_heads(),
            head_dim: head,
            scale: match self.scale_attention {
                true => 1.0 / self.query_pre_attn_scalar.unwrap_or(head.max(1) as f64).sqrt(),
                false => 1.0,
            },
            causal,
            window: self.window.filter(|_| own && causal && local),
            bias,
            soft_cap: self.attention_soft_cap,
            dropout: self.attention_dropout,
        }
    }

    /// The frequencies of rotary positions, radians a position, half as many as a head has columns.
    pub fn frequencies(&self, width: usize) -> Vec<f64> {
        let head = self.head_dim(width);
        let plain = |i: usize| self.rotary_base.powf(-((2 * i) as f64) / head as f64);
        let scaled = |frequency: f64| match self.rotary_scaling {
            None => frequency,
            Some(RotaryScaling::Linear { factor }) => frequency / factor,
            Some(RotaryScaling::Llama3 { factor, low, high, original_length }) => {
                // How many waves fit into the length in training.
                let waves = original_length as f64 * frequency / std::f64::consts::TAU;
                let kept = ((waves - low) / (high - low)).clamp(0.0, 1.0);
                frequency * (kept + (1.0 - kept) / factor)
            }
        };
        (0..head / 2).map(|i| scaled(plain(i))).collect()
    }

    /// The same in layers that see a window alone.
    pub(super) fn local_frequencies(&self, width: usize) -> Vec<f64> {
        match self.local_rotary_base {
            Some(rotary_base) => Self { rotary_base, rotary_scaling: None, ..self.clone() }.frequencies(width),
            None => self.frequencies(width),
        }
    }

    /// That the sizes make sense together, in a model of this width.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate(&self, width: usize) -> Result<(), String> {
        let fail = |key: &str, value: &dyn std::fmt::Display, expected: &str| {
            Err(format!("model.transformer.{key} = {value}: expected {expected}"))
        };
        if self.heads == 0 || self.heads > 1024 {
            return fail("heads", &self.heads, "a number from 1 to 1024");
        }
        if self.head_dim.is_none() && !width.is_multiple_of(self.heads) {
            return fail(
                "heads",
                &self.heads,
                &format!("a divisor of model.hidden = {width}, or head_width beside it"),
            );
        }
        let head = self.head_dim(width);
        if head == 0 || head > 4096 {
            return fail("head_width", &head, "a number from 1 to 4096");
        }
        if self.position == Position::Rotary && !head.is_multiple_of(2) {
            return fail("head_width", &head, "an even number, for position = \"rotary\"");
        }
        let shared = self.kv_heads();
        if shared == 0 || !self.heads.is_multiple_of(shared) {
            return fail("key_value_heads", &shared, &format!("a divisor of heads = {}", self.heads));
        }
        let between = self.d_ff(width);
        if between == 0 || between > 1 << 20 {
            return fail("feed_forward", &between, "a number from 1 to 1048576");
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
        let shares = [
            ("attention_dropout", self.attention_dropout),
            ("activation_dropout", self.activation_dropout),
            ("layer_drop", self.layer_drop),
        ];
        match shares.into_iter().find(|(_, share)| !(0.0..1.0).contains(share)) {
            Some((key, share)) => fail(key, &Brief(share), "a number from 0 to below 1"),
            None => Ok(()),
        }
    }
}
