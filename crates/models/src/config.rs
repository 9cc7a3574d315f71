use crate::LossConfig;
use descant_nn::{AttentionScore, Cell, DropoutConfig, Position, RecurrentConfig, RecurrentInit, TransformerConfig};
use descant_tensor::Brief;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The model family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// Maps a source to a target.
    EncoderDecoder,
    /// Continues a text.
    LanguageModel,
}

/// The layers of an encoder or a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    /// LSTM or GRU.
    Recurrent,
    /// Transformer layers.
    Transformer,
}

/// The decoder's initial state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bridge {
    /// The encoder's last states, those of both directions concatenated.
    State,
    /// Zeros: the source is seen through attention only.
    Zero,
}

/// Weight tying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tie {
    /// None.
    None,
    /// The target embedding and the output projection (Press & Wolf 2017, arXiv 1608.05859); of continuous outputs the target
    /// embedding and the fixed embeddings that are predicted.
    Output,
    /// The source and the target embedding, not the output projection; needs a shared vocabulary.
    Embeddings,
    /// All three; needs a shared vocabulary. Of continuous outputs the source and the target embedding.
    All,
}

impl Tie {
    /// Whether source and target share an embedding.
    pub fn joins_sides(self) -> bool {
        matches!(self, Self::Embeddings | Self::All)
    }

    /// Whether the output projection is tied to an embedding.
    pub fn joins_output(self) -> bool {
        matches!(self, Self::Output | Self::All)
    }
}

/// An architecture and its sizes: the `[model]` table of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// `encoder-decoder` or `language-model`.
    pub kind: ModelKind,
    /// The decoder's layers: `recurrent` or `transformer`.
    #[serde(default = "recurrent")]
    pub decoder: LayerKind,
    /// The encoder's layers; by default as the decoder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<LayerKind>,
    /// Of recurrent layers, `lstm` or `gru`.
    #[serde(default = "lstm")]
    pub cell: Cell,
    /// Width of the embeddings; of Transformers it is `hidden`.
    #[serde(default = "width")]
    pub embedding: usize,
    /// Width of the hidden states (d_model); of a bidirectional encoder, of both directions together.
    #[serde(default = "width")]
    pub hidden: usize,
    /// Layers of the decoder, or of the language model.
    #[serde(default = "one")]
    pub layers: usize,
    /// Layers of the encoder.
    #[serde(default = "one")]
    pub encoder_layers: usize,
    /// Whether a recurrent encoder is bidirectional.
    #[serde(default = "yes")]
    pub bidirectional: bool,
    /// Attention of a recurrent decoder: `dot`, `general`, `scaled-dot`, `scaled-general`, `concat`, `additive`; or none, for a decoder that has only the
    /// encoder's last state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<AttentionScore>,
    /// Input feeding: the attentional state of a step is part of the next step's input (Luong et al. 2015).
    #[serde(default)]
    pub input_feeding: bool,
    /// The decoder's initial state.
    #[serde(default = "state")]
    pub bridge: Bridge,
    /// Weight tying.
    #[serde(default = "untied")]
    pub tie: Tie,
    /// Whether the output projection has a bias.
    #[serde(default = "yes")]
    pub output_bias: bool,
    /// Soft cap `c` of the logits, `z → c tanh(z / c)`; by default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_soft_cap: Option<f64>,
    /// Dropout: of embeddings, between recurrent layers and before their output, and of the output of each Transformer
    /// sublayer.
    #[serde(default)]
    pub dropout: f64,
    /// Whether recurrent layers have one mask of `dropout` for all tokens of a sequence.
    #[serde(default)]
    pub variational_dropout: bool,
    /// Dropout of the recurrent connections, by one mask for each sequence.
    #[serde(default)]
    pub recurrent_dropout: f64,
    /// Dropout of entries of the vocabulary, each at all its places in a sequence; of recurrent layers.
    #[serde(default)]
    pub embedding_dropout: f64,
    /// Dropout of tokens, whose embeddings are zeros; of recurrent layers.
    #[serde(default)]
    pub word_dropout: f64,
    /// Residual connections between recurrent layers.
    #[serde(default)]
    pub residual: bool,
    /// Layer normalisation within recurrent cells.
    #[serde(default)]
    pub layer_norm: bool,
    /// What the recurrent weights begin with.
    #[serde(default)]
    pub recurrent_init: RecurrentInit,
    /// What the bias of an LSTM's forget gates begins with; by default it is drawn as the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_bias: Option<f64>,
    /// Hyperparameters of Transformer layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformer: Option<TransformerConfig>,
    /// The `model_type` of `transformers` that it was imported from: where several fit, it is exported as that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// Sizes of a model's vocabularies, and how target entries count.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    /// Entries on the source side; of a language model, none.
    pub source: usize,
    /// Entries on the target side.
    pub target: usize,
    /// Whether both sides have one vocabulary.
    pub shared: bool,
    /// The loss weight of each target entry; by default 1.
    pub class_weights: Option<Arc<[f64]>>,
    /// Target entries that are masked, in ascending order.
    pub ignored: Arc<[u32]>,
}

impl Vocabulary {
    /// Of these sizes, with a loss weight of 1 for every target.
    pub fn new(source: usize, target: usize, shared: bool) -> Self {
        Self { source, target, shared, class_weights: None, ignored: Arc::from([]) }
    }
}

impl ModelConfig {
    /// The number of learned positions; `None` where positions are not limited.
    pub fn max_length(&self) -> Option<usize> {
        let transformer = self.transformer.as_ref()?;
        let has_positions = [self.decoder, self.encoder()].contains(&LayerKind::Transformer);
        (has_positions && transformer.position == Position::Learned).then_some(transformer.max_length)
    }

    /// Whether it has dropout in training.
    pub fn has_dropout(&self) -> bool {
        let transformer = self.transformer.as_ref().map_or(0.0, |t| t.attention_dropout.max(t.activation_dropout));
        let DropoutConfig { probability, recurrent, embedding, word, .. } = self.row_dropout();
        [transformer, probability, recurrent, embedding, word].into_iter().any(|probability| probability > 0.0)
    }

    /// Dropout of recurrent layers.
    pub fn row_dropout(&self) -> DropoutConfig {
        DropoutConfig {
            probability: self.dropout,
            variational: self.variational_dropout,
            recurrent: self.recurrent_dropout,
            embedding: self.embedding_dropout,
            word: self.word_dropout,
        }
    }

    /// The recurrent layers of a decoder or a language model that reads rows of this width.
    pub(crate) fn recurrent(&self, input: usize) -> RecurrentConfig {
        RecurrentConfig {
            layers: self.layers,
            dropout: self.row_dropout(),
            residual: self.residual,
            layer_norm: self.layer_norm,
            init: self.recurrent_init,
            forget_bias: self.forget_bias,
            ..RecurrentConfig::new(self.cell, input, self.hidden)
        }
    }

    /// A model of this kind with defaults.
    pub fn new(kind: ModelKind) -> Self {
        Self {
            kind,
            decoder: recurrent(),
            encoder: None,
            cell: lstm(),
            embedding: width(),
            hidden: width(),
            layers: one(),
            encoder_layers: one(),
            bidirectional: yes(),
            attention: None,
            input_feeding: false,
            bridge: state(),
            tie: untied(),
            output_bias: yes(),
            output_soft_cap: None,
            dropout: 0.0,
            variational_dropout: false,
            recurrent_dropout: 0.0,
            embedding_dropout: 0.0,
            word_dropout: 0.0,
            residual: false,
            layer_norm: false,
            recurrent_init: RecurrentInit::Uniform,
            forget_bias: None,
            transformer: None,
            origin: None,
        }
    }

    /// The encoder's layers.
    pub fn encoder(&self) -> LayerKind {
        self.encoder.unwrap_or(self.decoder)
    }

    /// Hyperparameters of Transformer layers.
    pub fn transformer(&self) -> TransformerConfig {
        self.transformer.clone().unwrap_or_default()
    }

    /// Whether the decoder attends to a source.
    pub fn has_cross_attention(&self) -> bool {
        let attends = self.decoder == LayerKind::Transformer || self.attention.is_some();
        self.kind == ModelKind::EncoderDecoder && attends
    }

    /// The width of token embeddings: of Transformers `hidden`.
    pub fn embedding(&self, layers: LayerKind) -> usize {
        match layers {
            LayerKind::Recurrent => self.embedding,
            LayerKind::Transformer => self.hidden,
        }
    }

    /// Checks the keys of layers against the layers that there are.
    fn validate_layers(&self) -> Result<(), String> {
        let pair = self.kind == ModelKind::EncoderDecoder;
        if !pair && self.encoder.is_some() {
            return Err("model.encoder is for kind = \"encoder-decoder\"".to_owned());
        }
        let (encoder, decoder) = (self.encoder(), self.decoder);
        if [encoder, decoder].contains(&LayerKind::Transformer) {
            self.transformer().validate(self.hidden)?;
        } else if self.transformer.is_some() {
            return Err(
                "[model.transformer]: expected model.decoder = \"transformer\" or model.encoder = \"transformer\" \
                        beside it"
                    .to_owned(),
            );
        }
        if decoder == LayerKind::Transformer && (self.attention.is_some() || self.input_feeding) {
            return Err("model.attention and model.input_feeding are for model.decoder = \"recurrent\"".to_owned());
        }
        if pair && encoder == LayerKind::Transformer && decoder == LayerKind::Recurrent {
            if self.attention.is_none() {
                return Err(
                    "model.encoder = \"transformer\": expected model.attention beside it, such as \"general\", \
                            as a recurrent decoder reads it through attention alone"
                        .to_owned(),
                );
            }
            if self.bridge == Bridge::State {
                return Err(
                    "model.encoder = \"transformer\": expected model.bridge = \"zero\" beside it, as there is no \
                            last state"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }

    /// Checks the sizes together with a vocabulary.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate(&self, loss: &LossConfig, vocabulary: &Vocabulary) -> Result<(), String> {
        self.validate_sizes(loss)?;
        match self.tie.joins_sides() && !vocabulary.shared {
            true => Err(TIED_APART.to_owned()),
            false => Ok(()),
        }
    }

    /// Checks the sizes alone, before there is a vocabulary.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate_sizes(&self, loss: &LossConfig) -> Result<(), String> {
        let sizes = [("embedding", self.embedding), ("hidden", self.hidden)];
        if let Some((key, value)) = sizes.into_iter().find(|&(_, size)| size == 0 || size > 65_536) {
            return Err(format!("model.{key} = {value}: expected a number from 1 to 65536"));
        }
        let layers = [("layers", self.layers), ("encoder_layers", self.encoder_layers)];
        if let Some((key, value)) = layers.into_iter().find(|&(_, layers)| layers == 0 || layers > 64) {
            return Err(format!("model.{key} = {value}: expected a number from 1 to 64"));
        }
        if let Some(cap) = self.output_soft_cap.filter(|cap| !(*cap > 0.0 && cap.is_finite())) {
            return Err(format!("model.output_soft_cap = {}: expected a number above 0", Brief(cap)));
        }
        if let Some(bias) = self.forget_bias.filter(|bias| !bias.is_finite()) {
            return Err(format!("model.forget_bias = {bias}: expected a number"));
        }
        let shares = [
            ("dropout", self.dropout),
            ("recurrent_dropout", self.recurrent_dropout),
            ("embedding_dropout", self.embedding_dropout),
            ("word_dropout", self.word_dropout),
        ];
        if let Some((key, value)) = shares.into_iter().find(|(_, share)| !(0.0..1.0).contains(share)) {
            return Err(format!("model.{key} = {}: expected a number from 0 to below 1", Brief(value)));
        }
        self.validate_layers()?;
        let pair = self.kind == ModelKind::EncoderDecoder;
        let (recurrent, width) = (self.decoder == LayerKind::Recurrent, self.embedding(self.decoder));
        if pair && self.encoder() == LayerKind::Recurrent && self.bidirectional && !self.hidden.is_multiple_of(2) {
            let hidden = self.hidden;
            return Err(format!(
                "model.hidden = {hidden}: expected an even number, for the two directions of the encoder"
            ));
        }
        if !pair && (self.attention.is_some() || self.input_feeding) {
            return Err("model.attention and model.input_feeding are for kind = \"encoder-decoder\"".to_owned());
        }
        if self.input_feeding && self.attention.is_none() {
            return Err("model.input_feeding = true: expected model.attention beside it".to_owned());
        }
        let has_logits = !matches!(loss, LossConfig::Embedding { .. });
        if has_logits && self.tie.joins_output() && width != self.hidden {
            let (embedding, hidden) = (self.embedding, self.hidden);
            return Err(format!("model.tie: expected embedding = hidden, not {embedding} and {hidden}"));
        }
        if self.tie.joins_sides() && !pair {
            return Err(TIED_APART.to_owned());
        }
        if self.tie.joins_sides() && self.embedding(self.encoder()) != width {
            return Err("model.tie: expected embedding = hidden for both sides".to_owned());
        }
        if pair && recurrent && self.attention.is_none() && self.bridge == Bridge::Zero {
            return Err("model.bridge = \"zero\": expected \"state\", or attention, or nothing of the source is read"
                .to_owned());
        }
        Ok(())
    }
}

const TIED_APART: &str = "model.tie = \"all\" or \"embeddings\": expected an encoder-decoder with one vocabulary for both sides: set \
                          data.shared_vocabulary = true";

fn recurrent() -> LayerKind {
    LayerKind::Recurrent
}

fn lstm() -> Cell {
    Cell::Lstm
}

fn width() -> usize {
    256
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn state() -> Bridge {
    Bridge::State
}

fn untied() -> Tie {
    Tie::None
}
