use crate::decoder_state::{DecoderState, EncoderOutput};
use crate::encoder::Encoder;
use crate::generator::Generator;
use crate::{HiddenStates, LossConfig, ModelConfig, ModelKind, OutputLayer, Vocabulary};
use descant_autograd::{AttentionOperand, Graph, ParameterId, Segments};
use descant_batch::{Batch, Sequences};
use descant_nn::{CrossAttentionKv, Embedding, Scope, Transformer, TransformerSizes};
use descant_tensor::Result;
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
        let ModelConfig { hidden: d_model, layers, dropout, .. } = *config;
        let pair = config.kind == ModelKind::EncoderDecoder;
        let encoder = pair.then(|| Encoder::new(&mut scope.at("encoder"), config, vocabulary.source));
        let mut scope = scope.at("decoder");
        let embedding = match (&encoder, config.tie) {
            (Some(encoder), tie) if tie.joins_sides() => encoder.embedding.clone(),
            _ => OutputLayer::embedding(&mut scope, loss, config, d_model, vocabulary),
        };
        let sizes = TransformerSizes { d_model, layers, dropout, causal: true, cross_attention: pair };
        let decoder = Transformer::new(&mut scope, &config.transformer(), sizes);
        let output = OutputLayer::new(&mut scope, loss, config, &embedding, (d_model, d_model), vocabulary);
        Self { encoder, embedding, decoder, output }
    }

    /// The keys and values of the sources for each layer, and the rows of each source.
    fn encode<'t>(
        &self,
        graph: Graph<'t>,
        sources: Option<&Sequences>,
    ) -> Option<(Vec<AttentionOperand<'t>>, Arc<Segments>)> {
        let none = Sequences::default();
        let HiddenStates { rows, segments } =
            self.encoder.as_ref()?.encode(graph, sources.unwrap_or(&none)).states.sequence_major();
        Some((self.decoder.project_source(rows), segments))
    }
}

impl Generator for TransformerGenerator {
    fn hidden<'t>(&self, graph: Graph<'t>, batch: &Batch) -> HiddenStates<'t> {
        let queries = Arc::new(Segments::joined(&batch.input.lengths()));
        let source = self.encode(graph, batch.source.as_ref());
        let source = source.map(|(layers, segments)| CrossAttentionKv { layers, segments, queries: queries.clone() });
        let ids = Arc::from(batch.input.ids.as_slice());
        let rows = self.decoder.forward(graph, &self.embedding, &ids, &queries, source.as_ref(), None);
        HiddenStates { rows, segments: queries }
    }

    fn output(&self) -> &OutputLayer {
        &self.output
    }

    fn embeddings(&self) -> (Option<ParameterId>, ParameterId) {
        (self.encoder.as_ref().map(|encoder| encoder.embedding.weight), self.embedding.weight)
    }

    fn max_length(&self) -> Option<usize> {
        self.decoder.max_length()
    }

    fn start(&self, graph: Graph<'_>, sources: Option<&Sequences>, rows: usize) -> Result<DecoderState> {
        let rows = sources.map_or(rows, Sequences::len);
        let encoder_output = match self.encode(graph, sources) {
            None => None,
            Some((layers, segments)) => {
                let values = layers.iter().map(|kv| kv.x.value().map(Arc::new)).collect::<Result<_>>()?;
                Some(Arc::new(EncoderOutput { values, keys: None, segments }))
            }
        };
        graph.check()?;
        let kv_cache = Some(self.decoder.kv_cache(graph, rows));
        Ok(DecoderState { recurrent: Vec::new(), kv_cache, encoder_output, sources: (0..rows).collect() })
    }

    fn step<'t>(&self, graph: Graph<'t>, state: &mut DecoderState, tokens: &Sequences) -> Result<HiddenStates<'t>> {
        state.check(graph, tokens)?;
        let segments = Arc::new(Segments::joined(&tokens.lengths()));
        let source = state.encoder_output.as_ref().map(|encoded| CrossAttentionKv {
            layers: encoded.values.iter().map(|kv| AttentionOperand { x: graph.shared(kv), column: 0 }).collect(),
            segments: encoded.segments.clone(),
            queries: Arc::new(state.queries(&segments, encoded.segments.len())),
        });
        let ids = Arc::from(tokens.ids.as_slice());
        let cache = state.kv_cache.as_mut();
        let rows = self.decoder.forward(graph, &self.embedding, &ids, &segments, source.as_ref(), cache);
        graph.check()?;
        Ok(HiddenStates { rows, segments })
    }
}
