use crate::{LayerKind, ModelConfig};
use descant_autograd::{Graph, PackedSequences, Segments, Var};
use descant_batch::Sequences;
use descant_nn::{
    Embedding, Recurrent, RecurrentConfig, RecurrentInput, RecurrentState, Scope, Transformer, TransformerSizes,
};
use std::sync::Arc;

/// What reads the source.
#[derive(Debug)]
pub(crate) struct Encoder {
    pub(crate) embedding: Embedding,
    layers: EncoderLayers,
    dropout: f64,
}

#[derive(Debug)]
enum EncoderLayers {
    Recurrent(Recurrent),
    Transformer(Box<Transformer>),
}

/// Encoded sources in a pass.
pub(crate) struct Encoded<'t> {
    /// `[N, H]`, a row for each token.
    pub(crate) values: Var<'t>,
    /// The rows of each source.
    pub(crate) segments: Arc<Segments>,
    /// Of recurrent layers, the last state of each, its rows in the sources' own order.
    pub(crate) last: Vec<RecurrentState<'t>>,
}

impl Encoder {
    pub(crate) fn new(scope: &mut Scope<'_>, config: &ModelConfig, entries: usize) -> Self {
        let ModelConfig { cell, hidden, bidirectional, encoder_layers: layers, dropout, .. } = *config;
        let width = config.embedding(config.encoder());
        let embedding = Embedding::new(&mut scope.at("embedding"), entries, width);
        let layers = match config.encoder() {
            LayerKind::Recurrent => {
                let hidden = if bidirectional { hidden / 2 } else { hidden };
                let sizes = RecurrentConfig { cell, input: width, hidden, layers, bidirectional, dropout };
                EncoderLayers::Recurrent(Recurrent::new(&mut scope.at("rnn"), sizes))
            }
            LayerKind::Transformer => {
                let sizes = TransformerSizes { width: hidden, layers, dropout, causal: false, source: false };
                EncoderLayers::Transformer(Box::new(Transformer::new(scope, &config.transformer(), sizes)))
            }
        };
        Self { embedding, layers, dropout }
    }

    pub(crate) fn encode<'t>(&self, graph: Graph<'t>, sources: &Sequences) -> Encoded<'t> {
        match &self.layers {
            EncoderLayers::Recurrent(rnn) => {
                let layout = Arc::new(PackedSequences::new(&sources.lengths()));
                let segments = Arc::new(layout.segments());
                let ids = segments.arrange(&sources.ids);
                let x = RecurrentInput::embedded(graph, &self.embedding, &ids, self.dropout);
                let (values, last) = rnn.forward(x, &[], &layout);
                let ranks: Arc<[u32]> = layout.ranks().into_iter().map(|row| row as u32).collect();
                let own_order = |state: RecurrentState<'t>| RecurrentState {
                    hidden: state.hidden.gather(&ranks),
                    cell: state.cell.map(|cell| cell.gather(&ranks)),
                };
                Encoded { values, segments, last: last.into_iter().map(own_order).collect() }
            }
            EncoderLayers::Transformer(transformer) => {
                let segments = Arc::new(Segments::joined(&sources.lengths()));
                let ids = Arc::from(sources.ids.as_slice());
                let values = transformer.forward(graph, &self.embedding, &ids, &segments, None);
                Encoded { values, segments, last: Vec::new() }
            }
        }
    }
}

impl Encoded<'_> {
    /// The same with the rows of each source one after the other.
    pub(crate) fn joined(self) -> Self {
        let lengths: Vec<usize> = (0..self.segments.len()).map(|i| self.segments.rows(i).len()).collect();
        let joined = Segments::joined(&lengths);
        if *self.segments == joined {
            return self;
        }
        let rows: Arc<[u32]> =
            (0..self.segments.len()).flat_map(|i| self.segments.rows(i)).map(|&row| row as u32).collect();
        Self { values: self.values.gather(&rows), segments: Arc::new(joined), last: self.last }
    }
}
