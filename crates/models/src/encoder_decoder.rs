use crate::decoder_state::{DecoderState, EncoderOutput, in_order, in_own_order, restore, store};
use crate::encoder::{EncodedSources, Encoder};
use crate::generator::Generator;
use crate::{Bridge, HiddenStates, LayerKind, LossConfig, ModelConfig, OutputLayer, Vocabulary};
use descant_autograd::{Activation, Graph, PackedSequences, ParameterId, Segments, Var};
use descant_batch::{Batch, Sequences};
use descant_nn::{
    Attention, Cell, DropoutConfig, Embedding, Linear, Recurrent, RecurrentInput, RecurrentState, RowDropout, Scope,
};
use descant_tensor::{Result, Tensor};
use std::sync::Arc;

/// A recurrent encoder-decoder: an encoder over the source, and a decoder that starts from its last state, attends to
/// its states, or both (Sutskever et al. 2014, Bahdanau et al. 2015, Luong et al. 2015).
#[derive(Debug)]
pub struct EncoderDecoder {
    encoder: Encoder,
    target_embedding: Embedding,
    decoder: Recurrent,
    attention: Option<(Attention, Linear)>,
    output: OutputLayer,
    config: ModelConfig,
}

/// The encoded sources in a pass, as attention reads them.
struct AttentionSource<'t> {
    states: HiddenStates<'t>,
    /// Attention keys.
    keys: Var<'t>,
}

impl EncoderDecoder {
    pub(crate) fn new(scope: &mut Scope<'_>, config: &ModelConfig, loss: &LossConfig, vocabulary: &Vocabulary) -> Self {
        let width = config.embedding(LayerKind::Recurrent);
        let hidden = config.hidden;
        let encoder = Encoder::new(&mut scope.at("encoder"), config, vocabulary.source);
        let mut scope = scope.at("decoder");
        let target_embedding = match config.tie {
            tie if tie.joins_sides() => encoder.embedding.clone(),
            _ => OutputLayer::embedding(&mut scope, loss, config, width, vocabulary),
        };
        let input = if config.input_feeding { width + hidden } else { width };
        let decoder = Recurrent::new(&mut scope.at("rnn"), config.recurrent(input));
        let attention = config.attention.map(|score| {
            let attention = Attention::new(&mut scope.at("attention"), score, hidden);
            (attention, Linear::new(&mut scope.at("combine"), 2 * hidden, hidden, true))
        });
        let output = OutputLayer::new(&mut scope, loss, config, &target_embedding, (hidden, width), vocabulary);
        Self { encoder, target_embedding, decoder, attention, output, config: config.clone() }
    }

    /// The states of the encoder, and the first state of each decoder layer, rows in the sources' own order.
    fn encode<'t>(&self, graph: Graph<'t>, sources: &Sequences) -> (HiddenStates<'t>, Vec<RecurrentState<'t>>) {
        let EncodedSources { states, last } = self.encoder.encode(graph, sources);
        let initial = match (self.config.bridge, last.len().checked_sub(1)) {
            (Bridge::Zero, _) | (_, None) => Vec::new(),
            (Bridge::State, Some(top)) => {
                // Top to top: of a deeper encoder the uppermost layers count; a deeper decoder's others start from the top.
                let skipped = last.len().saturating_sub(self.config.layers);
                (0..self.config.layers).map(|l| last[(skipped + l).min(top)]).collect()
            }
        };
        (states, initial)
    }

    /// The projected attention keys of encoder states, where they are not the keys themselves.
    fn keys<'t>(&self, states: Var<'t>) -> Option<Var<'t>> {
        self.attention.as_ref().and_then(|(attention, _)| attention.keys(states))
    }

    /// The attentional state `tanh(W [context; h])`, or the state itself without attention.
    fn attend<'t>(
        &self,
        hidden: Var<'t>,
        queries: &Arc<Segments>,
        source: &AttentionSource<'t>,
        (dropout, layout): (&RowDropout<'t>, &PackedSequences),
    ) -> Var<'t> {
        let Some((attention, combine)) = &self.attention else { return hidden };
        let hidden = dropout.apply(hidden, layout);
        let context = attention.forward(hidden, source.keys, source.states.rows, queries, &source.states.segments);
        combine.forward(hidden.graph().concat_last(&[context, hidden]), Activation::Tanh)
    }

    /// A step of several tokens in some rows, token by token as input feeding needs.
    fn step_by_step<'t>(
        &self,
        graph: Graph<'t>,
        state: &mut DecoderState,
        tokens: &Sequences,
    ) -> Result<HiddenStates<'t>> {
        let (lengths, mut outputs) = (tokens.lengths(), Vec::new());
        let mut places = vec![Vec::new(); lengths.len()];
        let mut next_place = 0;
        for t in 0..lengths.iter().max().copied().unwrap_or(0) {
            let rows: Vec<usize> = (0..lengths.len()).filter(|&row| lengths[row] > t).collect();
            let (mut next, mut active) = (Sequences::new(), state.clone());
            rows.iter().for_each(|&row| next.push(&tokens.get(row)[t..=t]));
            active.select(&rows);
            outputs.push(self.step(graph, &mut active, &next)?.rows);
            // The rows that have ended stay as they are.
            let merged =
                (0..lengths.len()).map(|row| rows.binary_search(&row).map_or(row, |i| lengths.len() + i) as u32);
            let merged: Arc<[u32]> = merged.collect();
            for (before, after) in state.recurrent.iter_mut().zip(&active.recurrent) {
                *before = graph.concat(&[graph.constant(before), graph.constant(after)]).gather(&merged).value()?;
            }
            for row in rows {
                places[row].push(next_place);
                next_place += 1;
            }
        }
        let mut segments = Segments::default();
        places.into_iter().for_each(|rows| segments.push(rows));
        Ok(HiddenStates { rows: graph.concat(&outputs), segments: Arc::new(segments) })
    }

    /// Token by token, each step's input holding the attentional state of the step before.
    fn input_fed<'t>(
        &self,
        x: Var<'t>,
        initial: &[RecurrentState<'t>],
        layout: &Arc<PackedSequences>,
        source: &AttentionSource<'t>,
    ) -> Var<'t> {
        let graph = x.graph();
        let mut feed = graph.constant(&Tensor::zeros(graph.dtype(), [layout.sequences(), self.config.hidden]));
        let mut states = initial.to_vec();
        let mut outputs = Vec::with_capacity(layout.steps());
        let masks = self.decoder.draw_dropout(graph, layout.sequences());
        let of_states = self.config.row_dropout().rows(graph, layout.sequences(), self.config.hidden);
        for t in 0..layout.steps() {
            let (rows, n) = (layout.rows(t), layout.active(t));
            let step = Arc::new(PackedSequences::new(&vec![1; n]));
            let first = |layer: &RecurrentState<'t>| RecurrentState {
                hidden: layer.hidden.slice(0, n),
                cell: layer.cell.map(|cell| cell.slice(0, n)),
            };
            states = states.iter().map(first).collect();
            let input = graph.concat_last(&[x.slice(rows.start, rows.end), feed.slice(0, n)]);
            let (hidden, after) = self.decoder.forward_with(input.into(), &states, &step, &masks);
            states = after;
            let mut queries = vec![None; layout.sequences()];
            layout.order()[..n].iter().enumerate().for_each(|(row, &sequence)| queries[sequence] = Some(row));
            let mut segments = Segments::default();
            queries.into_iter().for_each(|row| segments.push(row));
            feed = self.attend(hidden, &Arc::new(segments), source, (&of_states, &step));
            outputs.push(feed);
        }
        graph.concat(&outputs)
    }
}

impl Generator for EncoderDecoder {
    fn hidden<'t>(&self, graph: Graph<'t>, batch: &Batch) -> HiddenStates<'t> {
        let layout = Arc::new(PackedSequences::new(&batch.input.lengths()));
        let segments = Arc::new(layout.segments());
        let ids = segments.arrange(&batch.input.ids);
        let none = Sequences::default();
        let (states, initial) = self.encode(graph, batch.source.as_ref().unwrap_or(&none));
        let source = AttentionSource { keys: self.keys(states.rows).unwrap_or(states.rows), states };
        let initial = in_order(initial, layout.order());
        let dropout = self.config.row_dropout();
        let rows = |width: usize| dropout.rows(graph, layout.sequences(), width);
        let hidden = if self.config.input_feeding {
            let x = dropout.embeddings(self.target_embedding.forward(graph, &ids), &ids, &layout);
            let x = rows(self.config.embedding(LayerKind::Recurrent)).apply(x, &layout);
            self.input_fed(x, &initial, &layout, &source)
        } else {
            // All target tokens at once: the decoder's input does not depend on its output.
            let x = RecurrentInput::embedded(graph, &self.target_embedding, &ids, &dropout, &layout);
            let (hidden, _) = self.decoder.forward(x, &initial, &layout);
            self.attend(hidden, &segments, &source, (&rows(self.config.hidden), &layout))
        };
        HiddenStates { rows: rows(self.config.hidden).apply(hidden, &layout), segments }
    }

    fn output(&self) -> &OutputLayer {
        &self.output
    }

    fn embeddings(&self) -> (Option<ParameterId>, ParameterId) {
        (Some(self.encoder.embedding.weight), self.target_embedding.weight)
    }

    fn start(&self, graph: Graph<'_>, sources: Option<&Sequences>, _rows: usize) -> Result<DecoderState> {
        let none = Sequences::default();
        let sources = sources.unwrap_or(&none);
        let (states, initial) = self.encode(graph, sources);
        let width = self.config.hidden;
        let zeros = Tensor::zeros(graph.dtype(), [sources.len(), width]);
        let mut recurrent = Vec::new();
        store(&initial, None, &mut recurrent)?;
        if recurrent.is_empty() {
            let each = if self.config.cell == Cell::Lstm { 2 } else { 1 };
            recurrent = vec![zeros.clone(); each * self.config.layers];
        }
        if self.config.input_feeding {
            recurrent.push(zeros);
        }
        let encoder_output = match &self.attention {
            None => None,
            Some(_) => {
                // Each source's states one after the other, as every step reads them.
                let order = (0..states.segments.len()).flat_map(|i| states.segments.rows(i)).map(|&row| row as u32);
                let values = states.rows.gather(&order.collect());
                let keys = self.keys(values).map(Var::value).transpose()?;
                Some(Arc::new(EncoderOutput {
                    values: vec![Arc::new(values.value()?)],
                    keys: keys.map(Arc::new),
                    segments: Arc::new(Segments::joined(&sources.lengths())),
                }))
            }
        };
        Ok(DecoderState { recurrent, kv_cache: None, encoder_output, sources: (0..sources.len()).collect() })
    }

    fn step<'t>(&self, graph: Graph<'t>, state: &mut DecoderState, tokens: &Sequences) -> Result<HiddenStates<'t>> {
        state.check(graph, tokens)?;
        if self.config.input_feeding && tokens.lengths().iter().any(|&length| length != 1) {
            return self.step_by_step(graph, state, tokens);
        }
        let layout = Arc::new(PackedSequences::new(&tokens.lengths()));
        let segments = Arc::new(layout.segments());
        let ids = segments.arrange(&tokens.ids);
        let before = restore(graph, &state.recurrent, &layout, (self.config.layers, self.config.cell == Cell::Lstm));
        let x = match state.recurrent.last() {
            Some(feed) if self.config.input_feeding => {
                let x = self.target_embedding.forward(graph, &ids);
                graph.concat_last(&[x, graph.constant(feed)]).into()
            }
            _ => RecurrentInput::embedded(graph, &self.target_embedding, &ids, &DropoutConfig::default(), &layout),
        };
        let (mut rows, after) = self.decoder.forward(x, &before, &layout);
        if let Some(EncoderOutput { values, keys, segments: of_sources }) = state.encoder_output.as_deref()
            && let Some(values) = values.first()
        {
            let values = graph.shared(values);
            let keys = keys.as_ref().map_or(values, |keys| graph.shared(keys));
            let source = AttentionSource { states: HiddenStates { rows: values, segments: of_sources.clone() }, keys };
            let queries = Arc::new(state.queries(&segments, of_sources.len()));
            rows = self.attend(rows, &queries, &source, (&RowDropout::default(), &layout));
        }
        let feed = self.config.input_feeding.then_some(rows);
        store(&in_own_order(after, &layout), feed, &mut state.recurrent)?;
        Ok(HiddenStates { rows, segments })
    }
}
