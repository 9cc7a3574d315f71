//! One tile of scores: some queries of a head by some keys.

use super::{AttentionConfig, AttentionOperand, MultiHeadAttention, PositionBias, Sequence, TILE, alibi_slopes};
use crate::ops::dropout::draw;
use crate::ops::soft_cap::soft_cap;
use crate::{Case, Graph, Segments, Var, derive_seed};
use descant_kernels::{Real, vectorized, zip_into};
use descant_tensor::Tensor;
use std::ops::Range;
use std::sync::Arc;

/// Queries and keys are counted within their sequence. Scores are `[queries, keys]`.
pub(super) struct Tile<'a> {
    pub(super) op: &'a MultiHeadAttention,
    pub(super) sequence: &'a Sequence,
    pub(super) head: usize,
    pub(super) queries: Range<usize>,
    pub(super) keys: Range<usize>,
}

impl Tile<'_> {
    /// The columns that query `i` of the tile sees.
    fn seen(&self, i: usize) -> Range<usize> {
        let Range { start, end } = self.op.seen(self.sequence, self.queries.start + i);
        let column = |key: usize| key.clamp(self.keys.start, self.keys.end) - self.keys.start;
        column(start)..column(end)
    }

    /// How many places after query `i` the first key of the tile lies.
    fn first_distance(&self, i: usize) -> isize {
        let place = self.queries.start + i + self.sequence.memory.len();
        self.keys.start as isize - (place as isize - self.sequence.queries.len() as isize)
    }

    /// Scores below the cap; and, where there is room for them, the slopes that take their gradients back.
    pub(super) fn cap<E: Real>(&self, scores: &mut [E], slopes: &mut [E]) {
        if let Some(cap) = self.op.heads.soft_cap {
            let room = slopes.len().min(scores.len());
            soft_cap(cap, scores, &mut slopes[..room]);
        }
    }

    /// The gradients of scores from those of the capped ones.
    pub(super) fn uncap<E: Real>(&self, dscores: &mut [E], slopes: &[E]) {
        if self.op.heads.soft_cap.is_some() {
            let slopes = &slopes[..dscores.len()];
            zip_into(dscores, slopes, slopes, |ds, slope, _| ds * slope);
        }
    }

    pub(super) fn add_bias<E: Real>(&self, scores: &mut [E], table: Option<&[E]>) {
        let AttentionConfig { heads, bias, .. } = &self.op.heads;
        if *bias == PositionBias::None {
            return;
        }
        for (i, row) in scores.chunks_exact_mut(self.keys.len()).enumerate() {
            bias.add(*heads, self.head, self.first_distance(i), row, table);
        }
    }

    pub(super) fn add_bias_gradient<E: Real>(&self, dscores: &[E], dtable: &mut [E]) {
        let AttentionConfig { heads, bias, .. } = &self.op.heads;
        for (i, drow) in dscores.chunks_exact(self.keys.len()).enumerate() {
            bias.add_gradient(*heads, self.head, self.first_distance(i), drow, dtable);
        }
    }

    /// -∞ where a query does not see.
    pub(super) fn hide<E: Real>(&self, scores: &mut [E]) {
        if self.op.heads.causal {
            for (i, row) in scores.chunks_exact_mut(self.keys.len()).enumerate() {
                let seen = self.seen(i);
                row[..seen.start].fill(E::neg_infinity());
                row[seen.end..].fill(E::neg_infinity());
            }
        }
    }

    /// The weights from the scores and the logarithms of the softmax's sums.
    pub(super) fn weights<E: Real>(&self, scores: &mut [E], log_sums: &[E]) {
        self.hide(scores);
        vectorized(
            #[inline(always)]
            || {
                for (row, &log_sum) in scores.chunks_exact_mut(self.keys.len()).zip(log_sums) {
                    row.iter_mut().for_each(|x| *x -= log_sum);
                }
            },
        );
        E::exp_all(scores);
    }

    fn draw<E: Real>(&self, mask: &mut [E], seed: u64) {
        let place = [self.sequence.index, self.head, self.queries.start, self.keys.start];
        draw(mask, self.op.heads.dropout, place.into_iter().fold(seed, |seed, n| derive_seed(seed, n as u64)));
    }

    /// Drops some weights, where there is a seed.
    pub(super) fn drop_weights<E: Real>(&self, weights: &mut [E], mask: &mut [E], seed: Option<u64>) {
        if let (Some(seed), true) = (seed, self.op.heads.dropout > 0.0) {
            let mask = &mut mask[..weights.len()];
            self.draw(mask, seed);
            zip_into(weights, mask, mask, |p, m, _| p * m);
        }
    }

    /// From the gradients of the dropped weights, `dy vᵀ`, those of the scores; the weights become the dropped ones.
    pub(super) fn score_gradients<E: Real>(
        &self,
        weights: &mut [E],
        dscores: &mut [E],
        means: &[E],
        mask: &mut [E],
        seed: Option<u64>,
    ) {
        let dropped = seed.filter(|_| self.op.heads.dropout > 0.0);
        if let Some(seed) = dropped {
            let mask = &mut mask[..weights.len()];
            self.draw(mask, seed);
            zip_into(dscores, mask, mask, |ds, m, _| ds * m);
        }
        let m = self.keys.len();
        vectorized(
            #[inline(always)]
            || {
                for ((ds, p), &mean) in dscores.chunks_exact_mut(m).zip(weights.chunks_exact(m)).zip(means) {
                    ds.iter_mut().zip(p).for_each(|(ds, &p)| *ds = p * (*ds - mean));
                }
            },
        );
        if dropped.is_some() {
            let mask = &mask[..weights.len()];
            zip_into(weights, mask, mask, |p, m, _| p * m);
        }
    }
}

/// In primitives, sequence by sequence and head by head.
fn reference<'t>(
    graph: Graph<'t>,
    heads: &AttentionConfig,
    [q, k, v]: [AttentionOperand<'t>; 3],
    table: Option<Var<'t>>,
    queries: &Segments,
    memory: &Segments,
) -> Var<'t> {
    let part = |c: AttentionOperand<'t>, rows: Range<usize>, head: usize| {
        let start = c.column + head * heads.head_dim;
        c.x.slice(rows.start, rows.end).slice_last(start, start + heads.head_dim)
    };
    let mut outputs = Vec::new();
    for i in 0..queries.len() {
        let (Some(q_rows), Some(m_rows)) = (queries.span(i), memory.span(i)) else { continue };
        let (n, m) = (q_rows.len(), m_rows.len());
        if m == 0 {
            outputs.push(graph.constant(&Tensor::zeros(graph.dtype(), [n, heads.heads * heads.head_dim])));
            continue;
        }
        let each: Vec<Var<'t>> = (0..heads.heads)
            .map(|head| {
                let key = head / (heads.heads / heads.kv_heads);
                let (q, k, v) =
                    (part(q, q_rows.clone(), head), part(k, m_rows.clone(), key), part(v, m_rows.clone(), key));
                let mut scores = q.matmul_t(k) * heads.scale;
                if let Some(cap) = heads.soft_cap {
                    scores = scores.scale(1.0 / cap).tanh().scale(cap);
                }
                let distance = |i: usize| (i / m + m - n) as isize;
                let add: Vec<f64> = (0..n * m)
                    .map(|i| {
                        let (place, key) = (distance(i), (i % m) as isize);
                        let hidden =
                            heads.causal && (key > place || heads.window.is_some_and(|w| key + (w as isize) <= place));
                        let alibi = match &heads.bias {
                            PositionBias::Alibi(slopes) => -slopes[head] * (place - key).abs() as f64,
                            _ => 0.0,
                        };
                        if hidden { -1e30 } else { alibi }
                    })
                    .collect();
                if let Ok(add) = Tensor::new([n, m], &add) {
                    scores = scores + graph.constant(&add);
                }
                if let (Some(table), &PositionBias::Buckets { buckets, max_distance, bidirectional }) =
                    (table, &heads.bias)
                {
                    let bucket = |i: usize| {
                        PositionBias::bucket(buckets, max_distance, bidirectional, (i % m) as isize - distance(i))
                    };
                    let ids: Arc<[u32]> = (0..n * m).map(|i| bucket(i) as u32).collect();
                    scores = scores + table.slice_last(head, head + 1).gather(&ids).reshape([n, m]);
                }
                scores.softmax().matmul(v)
            })
            .collect();
        outputs.push(graph.concat_last(&each));
    }
    graph.concat(&outputs)
}

/// Rows of the gradient check: with tiles of two queries by three keys, so that every loop runs several times.
pub(super) fn cases() -> Vec<Case> {
    let plain = AttentionConfig {
        heads: 2,
        kv_heads: 2,
        head_dim: 2,
        scale: 0.7,
        causal: false,
        window: None,
        bias: PositionBias::None,
        soft_cap: None,
        dropout: 0.0,
    };
    let causal = AttentionConfig { causal: true, ..plain.clone() };
    let buckets = |bidirectional| PositionBias::Buckets { buckets: 8, max_distance: 12, bidirectional };
    let kinds = [
        ("full", plain.clone(), TILE),
        ("full, in tiles", plain.clone(), (2, 3)),
        ("causal", causal.clone(), TILE),
        ("causal, in tiles", causal.clone(), (2, 3)),
        ("window", AttentionConfig { window: Some(2), ..causal.clone() }, (2, 3)),
        ("shared keys", AttentionConfig { heads: 4, ..causal.clone() }, (2, 3)),
        ("soft cap", AttentionConfig { soft_cap: Some(0.5), window: Some(2), ..causal.clone() }, (2, 3)),
        ("soft cap and buckets", AttentionConfig { soft_cap: Some(0.5), bias: buckets(true), ..plain.clone() }, (2, 3)),
        ("alibi", AttentionConfig { bias: PositionBias::Alibi(alibi_slopes(2)), ..causal.clone() }, (2, 3)),
        ("buckets", AttentionConfig { bias: buckets(true), ..plain.clone() }, (2, 3)),
        ("causal buckets", AttentionConfig { bias: buckets(false), ..causal.clone() }, (2, 3)),
        ("dropout", AttentionConfig { dropout: 0.3, ..causal }, (2, 3)),
    ];
    let mut cases = Vec::new();
    for (name, heads, tile) in kinds {
        // Queries, keys and values side by side, and a column before them that none reads.
        let (q, kv) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
        let columns = [1, 1 + q, 1 + q + kv];
        let (queries, memory) = match heads.causal {
            true => (Segments::joined(&[4, 1, 3]), Segments::joined(&[4, 1, 3])),
            false => (Segments::joined(&[4, 2, 2]), Segments::joined(&[3, 0, 5])),
        };
        let (queries, memory) = (Arc::new(queries), Arc::new(memory));
        let table = matches!(heads.bias, PositionBias::Buckets { .. });
        let all = [8, 1 + q + 2 * kv];
        let shapes: &[&[usize]] = if table { &[&all, &[8, 2]] } else { &[&all] };
        let dropout = heads.dropout > 0.0;
        let of = (heads.clone(), queries.clone(), memory.clone());
        let case = Case::new(name, shapes, move |graph, x| {
            let op = MultiHeadAttention {
                heads: heads.clone(),
                columns,
                queries: queries.clone(),
                memory: memory.clone(),
                tile,
            };
            let mut inputs = vec![x[0]; 3];
            inputs.extend(x.get(1));
            graph.apply(op, &inputs)
        });
        cases.push(match dropout {
            true => case,
            false => case.reference(move |graph, x| {
                let parts = columns.map(|column| AttentionOperand { x: x[0], column });
                reference(graph, &of.0, parts, x.get(1).copied(), &of.1, &of.2)
            }),
        });
    }
    cases
}
