use descant_autograd::{Graph, KvCache, PackedSequences, Segments, Var};
use descant_batch::Sequences;
use descant_nn::RecurrentState;
use descant_tensor::{Result, Tensor};
use std::ops::Range;
use std::sync::Arc;

/// The state of a decoder between two steps. Its rows can be selected and repeated by index, and others appended, which is all that
/// beam search and batching need to know about an architecture.
#[derive(Clone, Debug)]
pub struct DecoderState {
    /// Of recurrent layers, their states `[rows, H]`, and the attentional state that input feeding reads.
    pub recurrent: Vec<Tensor>,
    /// Of Transformer layers.
    pub kv_cache: Option<KvCache>,
    /// What decoding reads of the sources, the same at every step.
    pub encoder_output: Option<Arc<EncoderOutput>>,
    /// The source of each row, in ascending order.
    pub sources: Vec<usize>,
}

/// The encoded sources, as a decoder attends to them.
#[derive(Debug)]
pub struct EncoderOutput {
    /// Encoder states, `[n_source, H]`; of a Transformer decoder the projected keys and values for each of its layers.
    pub values: Vec<Arc<Tensor>>,
    /// Projected attention keys of a recurrent decoder, `[n_source, H]`, where the values are not its keys.
    pub keys: Option<Arc<Tensor>>,
    /// The rows of each source.
    pub segments: Arc<Segments>,
}

impl EncoderOutput {
    /// Some of these sources, and all others.
    fn joined(&self, sources: &[usize], other: &Self) -> Self {
        let rows: Vec<usize> = sources.iter().flat_map(|&source| self.segments.rows(source)).copied().collect();
        let join = |(own, other): (&Arc<Tensor>, &Arc<Tensor>)| {
            let mut joined = own.select_rows(&rows);
            joined.append_rows(other);
            Arc::new(joined)
        };
        let lengths: Vec<usize> = sources.iter().map(|&source| self.segments.rows(source).len()).collect();
        let mut segments = Segments::joined(&lengths);
        for source in 0..other.segments.len() {
            segments.push(other.segments.rows(source).iter().map(|row| rows.len() + row));
        }
        Self {
            values: self.values.iter().zip(&other.values).map(join).collect(),
            keys: self.keys.as_ref().zip(other.keys.as_ref()).map(join),
            segments: Arc::new(segments),
        }
    }
}

impl DecoderState {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.sources.len()
    }

    /// Keeps the rows `indices`, some perhaps several times.
    pub fn select(&mut self, indices: &[usize]) {
        if is_ascending(indices) && indices.len() == self.rows() {
            return;
        }
        self.recurrent.iter_mut().for_each(|tensor| tensor.keep_rows(indices));
        if let Some(cache) = &mut self.kv_cache {
            cache.select(indices);
        }
        self.sources = indices.iter().map(|&i| self.sources[i]).collect();
    }

    /// Appends the rows of another state of the same model. Sources without a row are left out.
    pub fn append(&mut self, other: Self) {
        for (own, other) in self.recurrent.iter_mut().zip(&other.recurrent) {
            own.append_rows(other);
        }
        match (&mut self.kv_cache, other.kv_cache) {
            (Some(own), Some(other)) => own.append(other),
            (own, other) => *own = own.take().or(other),
        }
        let mut live = self.sources.clone();
        live.dedup();
        let place = |source: usize| live.partition_point(|&live| live < source);
        self.sources.iter_mut().for_each(|source| *source = place(*source));
        self.sources.extend(other.sources.iter().map(|source| live.len() + source));
        self.encoder_output = match (self.encoder_output.take(), other.encoder_output) {
            (Some(own), Some(other)) if !live.is_empty() => Some(Arc::new(own.joined(&live, &other))),
            (own, other) => other.or(own),
        };
    }

    /// Takes back the last tokens of a row of a Transformer decoder.
    pub fn truncate(&mut self, row: usize, tokens: usize) {
        if let Some(cache) = &mut self.kv_cache {
            cache.truncate(row, tokens);
        }
    }

    /// Empties some rows of a language model: they are again as before the first token.
    pub fn restart(&mut self, rows: Range<usize>) {
        for tensor in &mut self.recurrent {
            let width = tensor.shape().last();
            tensor.clear_range(rows.start * width..rows.end * width);
        }
        if let Some(cache) = &mut self.kv_cache {
            cache.restart(rows);
        }
    }

    /// Fails where there are not as many sequences as rows.
    pub(crate) fn check(&self, graph: Graph<'_>, tokens: &Sequences) -> Result<()> {
        if tokens.len() != self.rows() {
            graph.fail("step", format!("{} sequences for {} rows", tokens.len(), self.rows()), &[]);
        }
        graph.check()
    }

    /// For each source, the tokens that its rows have in a step.
    pub(crate) fn queries(&self, tokens: &Segments, sources: usize) -> Segments {
        let mut of_sources = vec![Vec::new(); sources];
        for (row, &source) in self.sources.iter().enumerate() {
            of_sources[source].extend(tokens.rows(row));
        }
        let mut segments = Segments::default();
        of_sources.into_iter().for_each(|tokens| segments.push(tokens));
        segments
    }
}

/// Copies recurrent states, layer by layer, and what else is to be kept, into tensors, in the memory that these have.
pub(crate) fn store<'t>(
    layers: &[RecurrentState<'t>],
    other: Option<Var<'t>>,
    tensors: &mut Vec<Tensor>,
) -> Result<()> {
    let states = layers.iter().flat_map(|layer| [Some(layer.hidden), layer.cell]).flatten().chain(other);
    for (i, state) in states.enumerate() {
        match tensors.get_mut(i) {
            Some(tensor) => state.copy_to(tensor)?,
            None => tensors.push(state.value()?),
        }
    }
    Ok(())
}

/// The inverse of [`store`], in the order of `layout`: the states of `layers` layers, each with a cell state or without.
pub(crate) fn restore<'t>(
    graph: Graph<'t>,
    tensors: &[Tensor],
    layout: &PackedSequences,
    (layers, has_cells): (usize, bool),
) -> Vec<RecurrentState<'t>> {
    let stride = if has_cells { 2 } else { 1 };
    let states = tensors.chunks(stride).take(layers).map(|layer| RecurrentState {
        hidden: graph.constant(&layer[0]),
        cell: layer.get(1).map(|cell| graph.constant(cell)),
    });
    let states = states.collect();
    if is_ascending(layout.order()) { states } else { in_order(states, layout.order()) }
}

/// The states after a step, one row after the other as before it.
pub(crate) fn in_own_order<'t>(states: Vec<RecurrentState<'t>>, layout: &PackedSequences) -> Vec<RecurrentState<'t>> {
    if is_ascending(layout.order()) { states } else { in_order(states, &layout.ranks()) }
}

/// Whether nothing is out of place, as where all sequences have one token.
fn is_ascending(order: &[usize]) -> bool {
    order.iter().copied().eq(0..order.len())
}

/// Of each state, the rows `order`.
pub(crate) fn in_order<'t>(states: Vec<RecurrentState<'t>>, order: &[usize]) -> Vec<RecurrentState<'t>> {
    let order: Arc<[u32]> = order.iter().map(|&row| row as u32).collect();
    let gather = |RecurrentState { hidden, cell }| RecurrentState {
        hidden: Var::gather(hidden, &order),
        cell: cell.map(|cell: Var<'t>| cell.gather(&order)),
    };
    states.into_iter().map(gather).collect()
}
