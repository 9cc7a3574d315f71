use crate::decoder_state::{DecoderState, EncoderOutput};
use crate::encoder::Encoder;
use crate::generator::Generator;
use crate::{LossConfig, ModelConfig, ModelKind, OutputLayer, Vocabulary};
use descant_autograd::{Graph, Segments, Var};
use descant_batch::{Batch, Sequences};
use descant_nn::{CrossAttentionKv, Embedding, Scope, Transformer, TransformerSizes};
use descant_tensor::{Result, Tensor};
use std::sync::Arc;

/// A Transformer that writes: a language model, or the decoder behind an encoder of either kind.
#[derive(Debug)]
pub struct TransformerGenerator {
    encoder: Option<Encoder>,
    embedding: Embedding,
    decoder: Transformer,
    output: OutputLayer,
}

impl TransformerGenerator {
    pub(crate) fn new(scope: &mut Scope<'_>, config: &ModelConfig, loss: &LossConfig, vocabulary: &Vocabulary) -> Self {
        let ModelConfig { hidden: width, layers, dropout, .. } = *config;
        let pair = config.kind == ModelKind::EncoderDecoder;
        let encoder = pair.then(|| Encoder::new(&mut scope.at("encoder"), config, vocabulary.source));
        let mut scope = scope.at("decoder");
        let embedding = match (&encoder, config.tie) {
            (Some(encoder), tie) if tie.joins_sides() => encoder.embedding.clone(),
            _ => Embedding::new(&mut scope.at("embedding"), vocabulary.target, width),
        };
        let sizes = TransformerSizes { width, layers, dropout, causal: true, source: pair };
        let decoder = Transformer::new(&mut scope, &config.transformer(), sizes);
        let output = OutputLayer::new(&mut scope, loss, config, &embedding, (width, width), vocabulary);
        Self { encoder, embedding, decoder, output }
    }

    fn encode<'t>(&self, graph: Graph<'t>, sources: Option<&Sequences>) -> Option<CrossAttentionKv<'t>> {
        let none = Sequences::default();
        let encoded = self.encoder.as_ref()?.encode(graph, sources.unwrap_or(&none)).joined();
        let keys_and_values = self.decoder.keys_and_values(encoded.values);
        Some(CrossAttentionKv { keys_and_values, segments: encoded.segments })
    }
}

impl Generator for TransformerGenerator {
    fn hidden<'t>(&self, graph: Graph<'t>, batch: &Batch) -> (Var<'t>, Arc<Segments>) {
        let source = self.encode(graph, batch.source.as_ref());
        let segments = Arc::new(Segments::joined(&batch.input.lengths()));
        let ids = Arc::from(batch.input.ids.as_slice());
        (self.decoder.forward(graph, &self.embedding, &ids, &segments, source.as_ref()), segments)
    }

    fn output(&self) -> &OutputLayer {
        &self.output
    }

    fn max_length(&self) -> Option<usize> {
        self.decoder.max_length()
    }

    fn start(&self, graph: Graph<'_>, sources: Option<&Sequences>, rows: usize) -> Result<DecoderState> {
        let rows = sources.map_or(rows, Sequences::len);
        let memory = match self.encode(graph, sources) {
            None => None,
            Some(source) => {
                let each: Vec<Var<'_>> = source.keys_and_values.iter().map(|columns| columns.x).collect();
                Some(Arc::new(EncoderOutput {
                    values: graph.concat_last(&each).value()?,
                    keys: None,
                    segments: source.segments,
                }))
            }
        };
        graph.check()?;
        Ok(DecoderState { tensors: self.decoder.caches(graph, rows), memory, sources: (0..rows).collect() })
    }

    fn step<'t>(&self, graph: Graph<'t>, state: &DecoderState, tokens: &[u32]) -> Result<(Var<'t>, DecoderState)> {
        let source = state.memory.as_ref().map(|memory| CrossAttentionKv {
            keys_and_values: self.decoder.side_by_side(graph.constant(&memory.values)),
            segments: memory.segments.clone(),
        });
        let mut caches: Vec<Tensor> = state.tensors.clone();
        let hidden = self.decoder.step(graph, &self.embedding, tokens, &mut caches, source.as_ref(), &state.sources)?;
        Ok((hidden, DecoderState { tensors: caches, memory: state.memory.clone(), sources: state.sources.clone() }))
    }
}
