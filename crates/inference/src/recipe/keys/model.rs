use super::super::family;
use super::condition::{
    DEEP_RECURRENT, ENCODER_DECODER, LSTM, RECURRENT, RECURRENT_DECODER, RECURRENT_DROPOUT, RECURRENT_ENCODER, SOFTMAX,
    TRANSFORMER,
};
use super::key::{ABOVE_0, Key, Range, SHARE, Section, ValueType, from};
use ValueType::{Choice, Flag, Integer, Number, Text};

const LAYERS: &[&str] = &["recurrent", "transformer"];
const WIDTH: Range = from(1.0).to(65_536.0);
const DEPTH: Range = from(1.0).to(64.0);

pub(super) const MODEL: Section = Section {
    name: "model",
    help: "The architecture. With init it can be left out.",
    keys: &[
        Key::new(
            "model.kind",
            Choice(&["encoder-decoder", "language-model"]),
            "(required, or family)",
            "encoder-decoder generates a target from a source; language-model continues a prompt.",
        ),
        Key::new(
            "model.family",
            Choice(&family::NAMES),
            "(none)",
            "Makes a model of this family of transformers, so that it can be exported as one: sets the keys of \
             [model] and [model.transformer] that the family needs, unless they are given; and \
             data.shared_vocabulary = true, where the family ties its embeddings.",
        ),
        Key::new(
            "model.origin",
            Text,
            "(none)",
            "The family that the model comes from, as its model_type; written by an import and by model.family. An \
             export is of that family as long as the model fits it.",
        )
        .when(TRANSFORMER),
        Key::new("model.decoder", Choice(LAYERS), "\"recurrent\"", "Layers of the decoder, or of the language model."),
        Key::new("model.encoder", Choice(LAYERS), "(as decoder)", "Layers of the encoder.").when(ENCODER_DECODER),
        Key::new("model.cell", Choice(&["lstm", "gru"]), "\"lstm\"", "The recurrent cell.").when(RECURRENT),
        Key::new("model.embedding", Integer(WIDTH), "256", "Embedding size; of Transformer layers it is hidden.")
            .when(RECURRENT),
        Key::new(
            "model.hidden",
            Integer(WIDTH),
            "256",
            "Hidden size (d_model); of a bidirectional encoder, of both directions together.",
        ),
        Key::new("model.layers", Integer(DEPTH), "1", "Number of layers of the decoder, or of the language model."),
        Key::new("model.encoder_layers", Integer(DEPTH), "1", "Number of layers of the encoder.").when(ENCODER_DECODER),
        Key::new("model.bidirectional", Flag, "true", "Whether a recurrent encoder is bidirectional.")
            .when(RECURRENT_ENCODER),
        Key::new(
            "model.residual",
            Flag,
            "false",
            "Residual connections: from the second recurrent layer on, what a layer reads is added to its output (Wu et al. 2016), so \
             that deep ones get gradients.",
        )
        .when(DEEP_RECURRENT),
        Key::new(
            "model.layer_norm",
            Flag,
            "false",
            "Layer normalisation within recurrent cells (Ba et al. 2016): of what the input and the hidden state give to the gates, each by \
             itself, and of an LSTM's cell state. Steps take longer, as such cells are not fused.",
        )
        .when(RECURRENT),
        Key::new(
            "model.recurrent_init",
            Choice(&["uniform", "orthogonal"]),
            "\"uniform\"",
            "What the weights of the hidden state begin with: uniform to 1/√hidden, as in PyTorch; or an orthogonal matrix for each \
             gate, which keeps the size of gradients over many steps (Saxe et al. 2014).",
        )
        .when(RECURRENT),
        Key::new(
            "model.forget_bias",
            Number(Range::from(-100.0).to(100.0)),
            "(uniform)",
            "What the bias of an LSTM's forget gates begins with (Jozefowicz et al. 2015): 1.0 lets it remember from the start.",
        )
        .when(LSTM),
        Key::new(
            "model.attention",
            Choice(&["dot", "general", "scaled-dot", "scaled-general", "concat", "additive"]),
            "(none)",
            "The attention score of a recurrent decoder over the encoder's states; without it, the decoder has the \
             encoder's last state alone. Those that are scaled are divided by √hidden, as in a Transformer: where states are wide, the softmax of \
             the others may saturate in the first steps, and the attention then learns late.",
        )
        .when(RECURRENT_DECODER),
        Key::new(
            "model.input_feeding",
            Flag,
            "false",
            "Whether the attentional hidden state of a step is part of the next step's input (Luong et al. 2015).",
        )
        .when(RECURRENT_DECODER),
        Key::new(
            "model.bridge",
            Choice(&["state", "zero"]),
            "\"state\"",
            "The initial state of a recurrent decoder: the encoder's last states, or zeros.",
        )
        .when(RECURRENT_DECODER),
        Key::new(
            "model.tie",
            Choice(&["none", "output", "embeddings", "all"]),
            "\"none\"",
            "Weight tying: output, the target embedding and the output projection; embeddings, the source and \
             target embeddings; all, the three. Of loss.kind = \"embedding\", output is the target embedding and the fixed \
             embeddings that are predicted, and all is as embeddings.",
        ),
        Key::new(
            "model.output_bias",
            Flag,
            "true",
            "Whether the output projection has a bias; of loss.kind = \"embedding\" it always has one.",
        ),
        Key::new("model.output_soft_cap", Number(ABOVE_0), "(none)", "Soft cap c of the logits z: c tanh(z / c).")
            .when(SOFTMAX),
        Key::new("model.dropout", Number(SHARE), "0.0", "Dropout probability."),
        Key::new(
            "model.variational_dropout",
            Flag,
            "false",
            "Variational dropout (Gal and Ghahramani 2016): recurrent layers have one mask of dropout for all tokens of a sequence, \
             for what they read and what they give; false: each token has its own.",
        )
        .when(RECURRENT_DROPOUT),
        Key::new(
            "model.recurrent_dropout",
            Number(SHARE),
            "0.0",
            "Dropout probability of the recurrent connections: of the hidden state before a step, by one mask for all steps of a \
             sequence (Gal and Ghahramani 2016).",
        )
        .when(RECURRENT),
        Key::new(
            "model.embedding_dropout",
            Number(SHARE),
            "0.0",
            "Probability with which an entry of the vocabulary is dropped at all its places in a sequence: its embedding is zero \
             (Gal and Ghahramani 2016).",
        )
        .when(RECURRENT),
        Key::new(
            "model.word_dropout",
            Number(SHARE),
            "0.0",
            "Probability with which a token is dropped, each place by itself: its embedding is zero (Sennrich et al. 2016).",
        )
        .when(RECURRENT),
    ],
};
