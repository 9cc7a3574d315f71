use super::condition::{LENGTH, RELATIVE, ROTARY, TRANSFORMER as LAYERS, TRANSFORMER_DECODER};
use super::key::{ABOVE_0, FROM_1, Key, REQUIRED, SHARE, Section, ValueType, above, from};
use ValueType::{Choice, Flag, Integer, IntegerList, Number};

pub(super) const TRANSFORMER: Section = Section {
    name: "model.transformer",
    help: "Transformer layers.",
    keys: &[
        Key::new("model.transformer.heads", Integer(from(1.0).to(1024.0)), "4", "Attention heads.")
            .related("a divisor of hidden unless head_width is set")
            .when(LAYERS),
        Key::new(
            "model.transformer.key_value_heads",
            Integer(FROM_1),
            "(as heads)",
            "Heads of keys and values (kv_heads): grouped-query attention, or with 1 multi-query attention.",
        )
        .related("a divisor of heads")
        .when(LAYERS),
        Key::new(
            "model.transformer.head_width",
            Integer(from(1.0).to(4096.0)),
            "(hidden / heads)",
            "Size of a head (head_dim).",
        )
        .related("even for rotary positions")
        .when(LAYERS),
        Key::new(
            "model.transformer.feed_forward",
            Integer(from(1.0).to(1_048_576.0)),
            "(4 × hidden)",
            "Inner size of the feed-forward layer (d_ff).",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.activation",
            Choice(&["relu", "gelu", "gelu-tanh", "silu", "tanh", "sigmoid"]),
            "\"gelu\"",
            "Activation of the feed-forward layer.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.gated",
            Flag,
            "false",
            "Whether the feed-forward layer is a gated linear unit: with silu SwiGLU, with gelu GeGLU.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.norm",
            Choice(&["layer", "rms"]),
            "\"layer\"",
            "Layer normalisation or RMS normalisation.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.norm_epsilon",
            Number(above(0.0).below(1.0)),
            "1e-5",
            "Epsilon of the normalisation, added to the variance.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.norm_first",
            Flag,
            "true",
            "Pre-norm: each sublayer normalises its input; false is post-norm, unless norm_output is set.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.norm_output",
            Flag,
            "false",
            "Whether each sublayer's output is normalised before the residual addition: with norm_first = true both \
             (sandwich norm), with false this alone.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.norm_embedding",
            Flag,
            "false",
            "Whether embeddings are normalised, after positions are added.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.qk_norm",
            Choice(&["head", "all"]),
            "(none)",
            "QK-norm: queries and keys are normalised before the rotary embedding, each head by itself or all heads \
             together.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.position",
            Choice(&["none", "sinusoidal", "learned", "rotary", "alibi", "relative"]),
            "\"rotary\"",
            "The position encoding; relative are T5's buckets.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.max_length",
            Integer(from(1.0).to(16_777_216.0)),
            "1024",
            "The longest sequence: the number of learned positions, or the context length that an imported model's \
             configuration gives.",
        )
        .when(LENGTH),
        Key::new(
            "model.transformer.rotary_base",
            Number(above(1.0)),
            "10000.0",
            "The base θ of the rotary frequencies.",
        )
        .when(ROTARY),
        Key::new(
            "model.transformer.local_rotary_base",
            Number(above(1.0)),
            "(rotary_base)",
            "The base θ in layers with sliding-window attention, without scaling.",
        )
        .when(ROTARY),
        Key::new(
            "model.transformer.relative_buckets",
            Integer(from(4.0).to(65_536.0)),
            "32",
            "Buckets of relative positions.",
        )
        .related("even")
        .when(RELATIVE),
        Key::new(
            "model.transformer.relative_max_distance",
            Integer(FROM_1),
            "128",
            "Distances from here on share a bucket.",
        )
        .related("above relative_buckets")
        .when(RELATIVE),
        Key::new(
            "model.transformer.window",
            Integer(FROM_1),
            "(all)",
            "Sliding-window attention: how many tokens back a decoder attends.",
        )
        .when(TRANSFORMER_DECODER),
        Key::new(
            "model.transformer.full_layers",
            IntegerList,
            "[]",
            "The layers, from 0, that attend to all tokens in spite of window.",
        )
        .when(TRANSFORMER_DECODER),
        Key::new("model.transformer.bias", Flag, "true", "Whether linear layers have biases.").when(LAYERS),
        Key::new(
            "model.transformer.attention_bias",
            Flag,
            "(as bias)",
            "Whether the projections of queries, keys and values have biases.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.scale_attention",
            Flag,
            "true",
            "Whether attention scores are divided by √head_dim.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.query_pre_attn_scalar",
            Number(ABOVE_0),
            "(head_dim)",
            "Attention scores are divided by the root of this number, as Gemma names it.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.attention_soft_cap",
            Number(ABOVE_0),
            "(none)",
            "Soft cap c of the attention scores s: c tanh(s / c).",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.scale_embedding",
            Flag,
            "(with sinusoidal positions)",
            "Whether embeddings are multiplied by √hidden.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.scale_output",
            Flag,
            "false",
            "Whether the last hidden state is divided by √hidden, as in T5 with tied embeddings.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.attention_dropout",
            Number(SHARE),
            "0.0",
            "Dropout probability of the attention weights.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.activation_dropout",
            Number(SHARE),
            "0.0",
            "Dropout probability inside the feed-forward layer.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.layer_drop",
            Number(SHARE),
            "0.0",
            "LayerDrop: the probability of skipping a whole layer in training.",
        )
        .when(LAYERS),
        Key::new(
            "model.transformer.recompute",
            Flag,
            "false",
            "Activation checkpointing: less memory for a third more work.",
        )
        .when(LAYERS),
    ],
};

const LLAMA: &[&str] = &["llama3"];

pub(super) const ROTARY_SCALING: Section = Section {
    name: "model.transformer.rotary_scaling",
    help: "RoPE scaling, for longer contexts than in training.",
    keys: &[
        Key::new(
            "model.transformer.rotary_scaling.kind",
            Choice(&["linear", "llama3"]),
            REQUIRED,
            "Linear position interpolation, or Llama 3's scaling by wavelength.",
        )
        .when(ROTARY),
        Key::new("model.transformer.rotary_scaling.factor", Number(FROM_1), REQUIRED, "What positions are divided by.")
            .when(ROTARY),
        Key::new(
            "model.transformer.rotary_scaling.low",
            Number(ABOVE_0),
            REQUIRED,
            "Wavelengths above original_length / low are scaled by the whole factor.",
        )
        .related("below high")
        .of(LLAMA)
        .when(ROTARY),
        Key::new(
            "model.transformer.rotary_scaling.high",
            Number(ABOVE_0),
            REQUIRED,
            "Wavelengths below original_length / high are not scaled.",
        )
        .related("above low")
        .of(LLAMA)
        .when(ROTARY),
        Key::new(
            "model.transformer.rotary_scaling.original_length",
            Integer(FROM_1),
            REQUIRED,
            "The context length in training.",
        )
        .of(LLAMA)
        .when(ROTARY),
    ],
};
