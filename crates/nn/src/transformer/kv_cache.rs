use descant_autograd::{Graph, Var};
use descant_tensor::{Buffer, DType, Element, Result, Tensor};
use std::sync::Arc;

/// KV cache of one self-attention layer: the keys and values of all tokens so far, for each row of a batch.
#[derive(Clone, Debug)]
pub struct KvCache {
    /// `[rows, tokens, 2 · kv_heads · head_dim]`, keys before values. Shared with the graph that reads it, which
    /// therefore copies nothing.
    entries: Arc<Tensor>,
}

impl KvCache {
    /// A cache without tokens, for so many rows; a token has `columns` of keys and values.
    pub(super) fn new(dtype: DType, rows: usize, columns: usize) -> Self {
        Self { entries: Arc::new(Tensor::zeros(dtype, [rows, 0, columns])) }
    }

    /// Cached tokens of each row.
    pub fn tokens(&self) -> usize {
        self.entries.shape()[1]
    }

    /// The cache of rows `indices`, some perhaps several times, as beam search reorders its hypotheses.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        Self { entries: Arc::new(self.entries.select_rows(indices)) }
    }

    /// Appends the keys and values of one more token for each row, `[rows, C]`; all of them as `[rows · tokens, C]`.
    #[track_caller]
    pub(super) fn append<'t>(&mut self, kv: Var<'t>) -> Var<'t> {
        let graph: Graph<'t> = kv.graph();
        let (rows, columns) = (self.entries.shape()[0], self.entries.shape()[2]);
        if kv.shape().dims() != [rows, columns] {
            return graph.fail("kv_cache", format!("expected one token for each row, [{rows}, {columns}]"), &[kv]);
        }
        match kv.value().and_then(|kv| self.extended(&kv)) {
            Ok(entries) => {
                self.entries = Arc::new(entries);
                let shape = self.entries.shape();
                graph.shared(&self.entries).reshape([shape[0] * shape[1], shape[2]])
            }
            Err(error) => graph.fail("kv_cache", error.to_string(), &[kv]),
        }
    }

    fn extended(&self, kv: &Tensor) -> Result<Tensor> {
        match (self.entries.buffer(), kv.buffer()) {
            (Buffer::F32(cached), Buffer::F32(new)) => self.joined(cached, new),
            (Buffer::F64(cached), Buffer::F64(new)) => self.joined(cached, new),
            _ => Self { entries: Arc::new(self.entries.cast(kv.dtype())) }.extended(kv),
        }
    }

    fn joined<E: Element>(&self, cached: &[E], new: &[E]) -> Result<Tensor> {
        let (rows, tokens, columns) = (self.entries.shape()[0], self.tokens(), self.entries.shape()[2]);
        let mut joined = Vec::with_capacity(rows * (tokens + 1) * columns);
        for row in 0..rows {
            joined.extend_from_slice(&cached[row * tokens * columns..][..tokens * columns]);
            joined.extend_from_slice(&new[row * columns..][..columns]);
        }
        Tensor::new([rows, tokens + 1, columns], &joined)
    }
}
