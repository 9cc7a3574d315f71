use descant_autograd::{Graph, Segments, Var};
use descant_nn::{KvCache, RecurrentState};
use descant_tensor::{Result, Tensor};
use std::sync::Arc;

/// The state of a decoder between two steps. Its rows can be selected and repeated by index, which is all that beam search
/// and batching need to know about an architecture.
#[derive(Clone, Debug)]
pub struct DecoderState {
    /// Of recurrent layers, their states `[rows, H]`, and the attentional state that input feeding reads.
    pub recurrent: Vec<Tensor>,
    /// Of Transformer layers, one KV cache each.
    pub kv_caches: Vec<KvCache>,
    /// What decoding reads of the sources, the same at every step.
    pub encoder_output: Option<Arc<EncoderOutput>>,
    /// The source of each row.
    pub sources: Vec<usize>,
}

/// The encoded sources, as a decoder attends to them.
#[derive(Debug)]
pub struct EncoderOutput {
    /// Encoder states, `[n_source, H]`; of a Transformer decoder the projected keys and values of all its layers, concatenated.
    pub values: Arc<Tensor>,
    /// Projected attention keys of a recurrent decoder, `[n_source, H]`.
    pub keys: Option<Arc<Tensor>>,
    /// The rows of each source.
    pub segments: Arc<Segments>,
}

impl DecoderState {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.sources.len()
    }

    /// The rows `indices`, some perhaps several times.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        Self {
            recurrent: self.recurrent.iter().map(|tensor| tensor.select_rows(indices)).collect(),
            kv_caches: self.kv_caches.iter().map(|cache| cache.select(indices)).collect(),
            encoder_output: self.encoder_output.clone(),
            sources: indices.iter().map(|&i| self.sources[i]).collect(),
        }
    }

    /// For each source, its rows.
    pub fn segments(&self, sources: usize) -> Segments {
        let mut segments = Segments::default();
        for source in 0..sources {
            segments.push((0..self.rows()).filter(|&row| self.sources[row] == source));
        }
        segments
    }
}

/// The tensors of recurrent states, layer by layer.
pub(crate) fn store(layers: &[RecurrentState<'_>]) -> Result<Vec<Tensor>> {
    layers.iter().flat_map(|layer| [Some(layer.hidden), layer.cell]).flatten().map(Var::value).collect()
}

/// The inverse of [`store`]: the states of `layers` layers from the first tensors, each with a cell state or without.
pub(crate) fn restore<'t>(
    graph: Graph<'t>,
    tensors: &[Tensor],
    layers: usize,
    has_cells: bool,
) -> Vec<RecurrentState<'t>> {
    let stride = if has_cells { 2 } else { 1 };
    tensors
        .chunks(stride)
        .take(layers)
        .map(|layer| RecurrentState {
            hidden: graph.constant(&layer[0]),
            cell: layer.get(1).map(|cell| graph.constant(cell)),
        })
        .collect()
}
