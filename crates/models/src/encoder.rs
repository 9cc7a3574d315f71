use crate::decoder_state::in_order;
use crate::{HiddenStates, LayerKind, ModelConfig};
use descant_autograd::{Graph, PackedSequences, Segments};
use descant_batch::Sequences;
use descant_nn::{
    DropoutConfig, Embedding, Recurrent, RecurrentConfig, RecurrentInput, RecurrentState, Scope, Transformer,
    TransformerSizes,
};
use std::sync::Arc;

/// The encoder of a source: an embedding, and recurrent or Transformer layers.
#[derive(Debug)]
pub(crate) struct Encoder {
    pub(crate) embedding: Embedding,
    layers: EncoderLayers,
    dropout: DropoutConfig,
}

#[derive(Debug)]
enum EncoderLayers {
    Recurrent(Recurrent),
    Transformer(Box<Transformer>),
}

/// Encoded sources in a pass.
pub(crate) struct EncodedSources<'t> {
    /// Of all tokens.
    pub(crate) states: HiddenStates<'t>,
    /// Of recurrent layers, the last state of each, its rows in the order of the sources.
    pub(crate) last: Vec<RecurrentState<'t>>,
}

impl Encoder {
    pub(crate) fn new(scope: &mut Scope<'_>, config: &ModelConfig, entries: usize) -> Self {
        let ModelConfig { hidden, bidirectional, encoder_layers: layers, dropout, .. } = *config;
        let width = config.embedding(config.encoder());
        let embedding = Embedding::new(&mut scope.at("embedding"), entries, width);
        let layers = match config.encoder() {
            LayerKind::Recurrent => {
                let hidden = if bidirectional { hidden / 2 } else { hidden };
                let sizes = RecurrentConfig { hidden, layers, bidirectional, ..config.recurrent(width) };
                EncoderLayers::Recurrent(Recurrent::new(&mut scope.at("rnn"), sizes))
            }
            LayerKind::Transformer => {
                let sizes =
                    TransformerSizes { d_model: hidden, layers, dropout, causal: false, cross_attention: false };
                EncoderLayers::Transformer(Box::new(Transformer::new(scope, &config.transformer(), sizes)))
            }
        };
        Self { embedding, layers, dropout: config.row_dropout() }
    }

    pub(crate) fn encode<'t>(&self, graph: Graph<'t>, sources: &Sequences) -> EncodedSources<'t> {
        match &self.layers {
            EncoderLayers::Recurrent(rnn) => {
                let layout = Arc::new(PackedSequences::new(&sources.lengths()));
                let segments = Arc::new(layout.segments());
                let ids = segments.arrange(&sources.ids);
                let x = RecurrentInput::embedded(graph, &self.embedding, &ids, &self.dropout, &layout);
                let (rows, last) = rnn.forward(x, &[], &layout);
                let last = in_order(last, &layout.ranks());
                EncodedSources { states: HiddenStates { rows, segments }, last }
            }
            EncoderLayers::Transformer(transformer) => {
                let segments = Arc::new(Segments::joined(&sources.lengths()));
                let ids = Arc::from(sources.ids.as_slice());
                let rows = transformer.forward(graph, &self.embedding, &ids, &segments, None, None);
                EncodedSources { states: HiddenStates { rows, segments }, last: Vec::new() }
            }
        }
    }
}
