use crate::decoder_state::{DecoderState, in_own_order, restore, store};
use crate::generator::Generator;
use crate::{HiddenStates, LossConfig, ModelConfig, OutputLayer, Vocabulary};
use descant_autograd::{Graph, PackedSequences, ParameterId};
use descant_batch::{Batch, Sequences};
use descant_nn::{Cell, Embedding, Recurrent, RecurrentInput, RecurrentState, Scope};
use descant_tensor::{Result, Tensor};
use std::sync::Arc;

/// A recurrent language model: embedding, layers of LSTM or GRU, output.
#[derive(Debug)]
pub struct LanguageModel {
    embedding: Embedding,
    rnn: Recurrent,
    output: OutputLayer,
    config: ModelConfig,
}

impl LanguageModel {
    pub(crate) fn new(scope: &mut Scope<'_>, config: &ModelConfig, loss: &LossConfig, vocabulary: &Vocabulary) -> Self {
        let embedding = OutputLayer::embedding(scope, loss, config, config.embedding, vocabulary);
        let rnn = Recurrent::new(&mut scope.at("rnn"), config.recurrent(config.embedding));
        let widths = (config.hidden, config.embedding);
        let output = OutputLayer::new(scope, loss, config, &embedding, widths, vocabulary);
        Self { embedding, rnn, output, config: config.clone() }
    }

    /// The hidden states of all tokens, and the recurrent states after them, in the order of `layout`. `initial` has those before
    /// the first tokens, or is empty for zeros.
    fn run<'t>(
        &self,
        graph: Graph<'t>,
        initial: &[Tensor],
        ids: &[u32],
        layout: &Arc<PackedSequences>,
    ) -> (HiddenStates<'t>, Vec<RecurrentState<'t>>) {
        let segments = Arc::new(layout.segments());
        let initial = restore(graph, initial, layout, (self.config.layers, self.config.cell == Cell::Lstm));
        let dropout = self.config.row_dropout();
        let x = RecurrentInput::embedded(graph, &self.embedding, &segments.arrange(ids), &dropout, layout);
        let (hidden, last) = self.rnn.forward(x, &initial, layout);
        let rows = dropout.rows(graph, layout.sequences(), self.config.hidden).apply(hidden, layout);
        (HiddenStates { rows, segments }, last)
    }

    fn state(recurrent: Vec<Tensor>, sources: Vec<usize>) -> DecoderState {
        DecoderState { recurrent, kv_cache: None, encoder_output: None, sources }
    }
}

impl Generator for LanguageModel {
    fn hidden<'t>(&self, graph: Graph<'t>, batch: &Batch) -> HiddenStates<'t> {
        let layout = Arc::new(PackedSequences::new(&batch.input.lengths()));
        self.run(graph, &[], &batch.input.ids, &layout).0
    }

    fn output(&self) -> &OutputLayer {
        &self.output
    }

    fn embeddings(&self) -> (Option<ParameterId>, ParameterId) {
        (None, self.embedding.weight)
    }

    fn start(&self, graph: Graph<'_>, _sources: Option<&Sequences>, rows: usize) -> Result<DecoderState> {
        let states = if self.config.cell == Cell::Lstm { 2 } else { 1 } * self.config.layers;
        let zeros = Tensor::zeros(graph.dtype(), [rows, self.config.hidden]);
        Ok(Self::state(vec![zeros; states], (0..rows).collect()))
    }

    fn step<'t>(&self, graph: Graph<'t>, state: &mut DecoderState, tokens: &Sequences) -> Result<HiddenStates<'t>> {
        state.check(graph, tokens)?;
        let layout = Arc::new(PackedSequences::new(&tokens.lengths()));
        let (hidden, last) = self.run(graph, &state.recurrent, &tokens.ids, &layout);
        store(&in_own_order(last, &layout), None, &mut state.recurrent)?;
        Ok(hidden)
    }
}
