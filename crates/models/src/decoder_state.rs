use descant_autograd::{Graph, Segments, Var};
use descant_nn::RecurrentState;
use descant_tensor::{Result, Tensor};
use std::sync::Arc;

/// What a generator knows between two tokens: rows that can be selected and repeated by index, which is all that beam
/// search and batching need to know about an architecture.
#[derive(Clone, Debug)]
pub struct DecoderState {
    /// Tensors `[rows, ..]`.
    pub tensors: Vec<Tensor>,
    /// What does not change from token to token.
    pub memory: Option<Arc<EncoderOutput>>,
    /// Which source each row belongs to.
    pub sources: Vec<usize>,
}

/// The encoded sources.
#[derive(Debug)]
pub struct EncoderOutput {
    /// Encoder states `[Nm, H]`; of a Transformer decoder the keys and values of its layers, side by side.
    pub values: Tensor,
    /// What the queries of a recurrent decoder are held against, `[Nm, H]`.
    pub keys: Option<Tensor>,
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
            tensors: self.tensors.iter().map(|tensor| tensor.select_rows(indices)).collect(),
            memory: self.memory.clone(),
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

/// The tensors of recurrent layers, one after the other.
pub(crate) fn store(layers: &[RecurrentState<'_>]) -> Result<Vec<Tensor>> {
    layers.iter().flat_map(|layer| [Some(layer.hidden), layer.cell]).flatten().map(Var::value).collect()
}

/// The inverse of [`store`]: layers from the first tensors, each with a cell state or without.
pub(crate) fn restore<'t>(graph: Graph<'t>, tensors: &[Tensor], layers: usize, cells: bool) -> Vec<RecurrentState<'t>> {
    let stride = if cells { 2 } else { 1 };
    tensors
        .chunks(stride)
        .take(layers)
        .map(|layer| RecurrentState {
            hidden: graph.constant(&layer[0]),
            cell: layer.get(1).map(|c| graph.constant(c)),
        })
        .collect()
}
