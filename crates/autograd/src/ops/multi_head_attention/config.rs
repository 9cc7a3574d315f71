//! The configuration of an attention, and its tiles.

use super::bias::PositionBias;
use crate::graph::Var;
use crate::sequences::Segments;
use std::ops::Range;
use std::sync::Arc;

/// Heads, mask and position bias of an attention.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionConfig {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads, a divisor of `heads`: grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245).
    pub kv_heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
    /// The factor of the scores, usually `1/√head_dim`.
    pub scale: f64,
    /// Causal mask, aligned bottom-right: query i of n sees the keys up to `i + (m - n)` of m.
    pub causal: bool,
    /// Sliding window of a causal attention: the most keys a query sees, its own included.
    pub window: Option<usize>,
    /// What is added to the scores.
    pub bias: PositionBias,
    /// Soft cap `c` of the scores, `c tanh(s / c)`.
    pub soft_cap: Option<f64>,
    /// Dropout of the attention weights.
    pub dropout: f64,
}

/// Queries, keys or values: the columns of `x` from `column` on, as all three may be parts of one fused projection.
#[derive(Clone, Copy, Debug)]
pub struct AttentionOperand<'t> {
    /// `[N, C]`.
    pub x: Var<'t>,
    /// The first column.
    pub column: usize,
}

/// Inputs `q[Nq, ..]`, `k[Nm, ..]`, `v[Nm, ..]` and perhaps a table of biases; output `[Nq, heads · head_dim]`.
#[derive(Debug)]
pub struct MultiHeadAttention {
    pub(super) heads: AttentionConfig,
    pub(super) columns: [usize; 3],
    pub(super) queries: Arc<Segments>,
    pub(super) memory: Arc<Segments>,
    /// Queries and keys in a tile.
    pub(super) tile: (usize, usize),
}

/// The size of a tile: large enough for the GEMMs, small enough for the second cache.
pub(super) const TILE: (usize, usize) = (64, 512);

/// One sequence: its rows of the queries, and of the keys and values.
#[derive(Clone)]
pub(super) struct Sequence {
    pub(super) index: usize,
    pub(super) queries: Range<usize>,
    pub(super) memory: Range<usize>,
}

impl MultiHeadAttention {
    /// The sequences with both queries and keys.
    pub(super) fn sequences(&self) -> impl Iterator<Item = Sequence> + Clone + '_ {
        (0..self.queries.len()).filter_map(|index| {
            let (queries, memory) = (self.queries.span(index)?, self.memory.span(index)?);
            (!queries.is_empty() && !memory.is_empty()).then_some(Sequence { index, queries, memory })
        })
    }

    /// Every head of these sequences.
    pub(super) fn each_head(&self) -> impl Iterator<Item = (Sequence, usize)> + Clone + '_ {
        self.sequences().flat_map(|sequence| (0..self.heads.heads).map(move |head| (sequence.clone(), head)))
    }

    /// The tiles of queries of a sequence.
    pub(super) fn query_tiles(&self, sequence: &Sequence) -> impl Iterator<Item = Range<usize>> + use<> {
        let (end, size) = (sequence.queries.len(), self.tile.0);
        (0..end).step_by(size).map(move |start| start..(start + size).min(end))
    }

    /// The tiles of keys that are visible to some of these queries.
    pub(super) fn key_tiles(
        &self,
        sequence: &Sequence,
        queries: &Range<usize>,
    ) -> impl Iterator<Item = Range<usize>> + use<> {
        let Range { start, .. } = self.visible_keys(sequence, queries.start);
        let Range { end, .. } = self.visible_keys(sequence, queries.end - 1);
        let size = self.tile.1;
        (start..end).step_by(size).map(move |start| start..(start + size).min(end))
    }

    /// The keys that are visible to a query.
    pub(super) fn visible_keys(&self, sequence: &Sequence, query: usize) -> Range<usize> {
        let (queries, memory) = (sequence.queries.len(), sequence.memory.len());
        if !self.heads.causal {
            return 0..memory;
        }
        let end = (query + 1 + memory).saturating_sub(queries);
        let window = self.heads.window.unwrap_or(memory);
        end.saturating_sub(window)..end
    }

    /// The first column of a head in the queries, the keys and the values.
    pub(super) fn starts(&self, head: usize) -> [usize; 3] {
        let AttentionConfig { heads, kv_heads, head_dim, .. } = self.heads;
        let key = head / (heads / kv_heads) * head_dim;
        [self.columns[0] + head * head_dim, self.columns[1] + key, self.columns[2] + key]
    }

    /// The most keys of one sequence.
    pub(super) fn longest(&self) -> usize {
        self.sequences().map(|sequence| sequence.memory.len()).max().unwrap_or(0)
    }

    /// The most scores of a tile.
    pub(super) fn scores(&self) -> usize {
        let most = |segments: &Segments, tile: usize| {
            (0..segments.len()).map(|i| segments.rows(i).len()).max().unwrap_or(0).min(tile)
        };
        most(&self.queries, self.tile.0) * most(&self.memory, self.tile.1)
    }
}
