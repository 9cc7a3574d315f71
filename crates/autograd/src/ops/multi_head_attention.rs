//! Multi-head attention over a ragged batch (Vaswani et al. 2017, arXiv 1706.03762), for each sequence and each head
//!
//! ```text
//! y = softmax(α q kᵀ + bias) v
//! ```
//!
//! where a soft cap `c` turns each `s = α q kᵀ` into `c tanh(s / c)` first (Gemma Team 2024, arXiv 2408.00118),
//!
//! in tiles of queries and keys with a running maximum and sum (Dao et al. 2022, arXiv 2205.14135): the scores of a whole
//! sequence never exist at once. Forward keeps one number for each query and head, the logarithm of the softmax's sum;
//! backward computes the weights again from it.

pub(super) mod attend;
mod bias;
mod cases;
mod config;
mod entropy;
mod tile;

pub use bias::{PositionBias, alibi_slopes};
pub use config::{AttentionConfig, AttentionOperand, MultiHeadAttention};

use crate::attention_weights::weights;
use crate::ragged_attention::Ragged;
use crate::{Backward, Forward, Graph, Op, Segments, Var};
use attend::{Heads, Kv, attend};
use config::{Sequence, TILE};
use descant_kernels::{Mat, MatMut, Real, exp_minus_max_rows, gemm, lanes, scale, vectorized, zip_sum};
use descant_tensor::Shape;
use std::ops::Range;
use std::sync::Arc;
use tile::Tile;

impl MultiHeadAttention {
    /// Everything about one tile of one head.
    fn tile<'a>(&'a self, sequence: &'a Sequence, head: usize, queries: Range<usize>, keys: Range<usize>) -> Tile<'a> {
        Tile { op: self, sequence, head, queries, keys }
    }
}

/// Rows `rows` of `x[N, columns]`, `width` columns from `start` on.
fn part<E: Real>(x: &[E], columns: usize, rows: Range<usize>, start: usize, width: usize) -> Mat<'_, E> {
    Mat::strided(&x[rows.start * columns + start..], rows.len(), width, columns)
}

/// As [`part`], to write.
fn part_mut<E: Real>(x: &mut [E], columns: usize, rows: Range<usize>, start: usize, width: usize) -> MatMut<'_, E> {
    MatMut::strided(&mut x[rows.start * columns + start..], rows.len(), width, columns)
}

/// `inner` counted from `outer`'s start.
fn within(outer: &Range<usize>, inner: &Range<usize>) -> Range<usize> {
    outer.start + inner.start..outer.start + inner.end
}

impl MultiHeadAttention {
    /// Whether the keys are of other rows than the queries.
    pub(crate) fn is_cross_attention(&self) -> bool {
        !Arc::ptr_eq(&self.queries, &self.memory)
    }

    /// The weights without mask and position bias, as cross-attention has neither; of queries of this shape, and of keys with so many
    /// columns: the mean over so many of the heads, from the first on, or over all.
    pub(crate) fn weights<E: Real>(
        &self,
        (q, shape): (&[E], Shape),
        (k, columns): (&[E], usize),
        most: Option<usize>,
    ) -> Vec<Vec<f64>> {
        let AttentionConfig { heads, head_dim, scale, soft_cap, .. } = self.heads;
        let heads = most.map_or(heads, |most| heads.min(most));
        weights(shape.rows(), (&self.queries, &self.memory), heads, 1, |head, query, memory, scores| {
            let [q_start, k_start, _] = self.starts(head);
            let q = &q[query * shape.last() + q_start..][..head_dim];
            for (score, key) in scores.iter_mut().zip(memory) {
                let dot = scale * zip_sum(q, &k[key * columns + k_start..][..head_dim], |q, k| q * k).f64();
                *score = soft_cap.map_or(dot, |cap| cap * (dot / cap).tanh());
            }
        })
    }

    /// Which queries look at which memory.
    pub(crate) fn batch(&self) -> Ragged {
        Ragged::new(&self.queries, &self.memory)
    }

    /// The factor of the scores.
    pub(crate) fn scale(&self) -> f64 {
        self.heads.scale
    }

    /// The columns of the first head among those of the queries and of the keys.
    pub(crate) fn first_head(&self) -> [Range<usize>; 2] {
        [0, 1].map(|i| self.columns[i]..self.columns[i] + self.heads.head_dim)
    }

    /// The queries of each sequence.
    pub(crate) fn queries(&self) -> &Segments {
        &self.queries
    }
}

impl Op for MultiHeadAttention {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let AttentionConfig { heads, kv_heads, head_dim, .. } = self.heads;
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) || head_dim == 0 {
            return Err(format!("{heads} heads of {head_dim} columns over {kv_heads} of the keys"));
        }
        let (q, k, v) = (inputs[0], inputs[1], inputs[2]);
        let needed = [heads, kv_heads, kv_heads].map(|heads| heads * head_dim);
        for (i, name) in ["queries", "keys", "values"].into_iter().enumerate() {
            if inputs[i].rank() != 2 || inputs[i][1] < self.columns[i] + needed[i] {
                let end = self.columns[i] + needed[i];
                return Err(format!("expected {name}[N, C] with columns up to {end}"));
            }
        }
        if k[0] != v[0] || self.queries.len() != self.memory.len() {
            let (queries, memory) = (self.queries.len(), self.memory.len());
            return Err(format!("as many keys as values, and {queries} sequences of queries as {memory} of memory"));
        }
        for (segments, rows) in [(&self.queries, q[0]), (&self.memory, k[0])] {
            if segments.bound() > rows || (0..segments.len()).any(|i| segments.span(i).is_none()) {
                return Err(format!("expected sequences one after the other in {rows} rows"));
            }
        }
        if self.heads.causal && self.sequences().any(|s| s.queries.len() > s.memory.len()) {
            return Err("a causal attention has more queries than keys".to_owned());
        }
        if self.heads.window == Some(0) || !(0.0..1.0).contains(&self.heads.dropout) {
            return Err("expected a window of 1 or more, and a dropout from 0 to below 1".to_owned());
        }
        if self.heads.soft_cap.is_some_and(|cap| !(cap > 0.0 && cap.is_finite())) {
            return Err("expected a soft cap above 0".to_owned());
        }
        self.heads.bias.check(heads, inputs.get(3).copied())?;
        Ok(Shape::from([q[0], heads * head_dim]))
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let AttentionConfig { heads, head_dim, .. } = self.heads;
        let (q, k, v, config) = (ctx.input(0), ctx.input(1), ctx.input(2), ctx.gemm_config());
        let table = (ctx.inputs() > 3).then(|| ctx.input(3));
        let [q_columns, k_columns, v_columns] = [0, 1, 2].map(|i| ctx.shape(i)[1]);
        let (rows, seed) = (ctx.shape(0)[0], ctx.dropout());
        if config.batch_invariant {
            let AttentionConfig { kv_heads, .. } = self.heads;
            let [q_start, k_start, v_start] = self.columns;
            let sequences = self.sequences().map(|Sequence { queries, memory, .. }| {
                let keys = memory.len();
                let k = part(k, k_columns, memory.clone(), k_start, kv_heads * head_dim);
                let v = part(v, v_columns, memory, v_start, kv_heads * head_dim);
                let q = part(q, q_columns, queries.clone(), q_start, heads * head_dim);
                Heads { config: &self.heads, heads: 0..heads, q, kv: Kv::Rows { k, v }, keys, rows: queries, table }
            });
            return attend(ctx, sequences, heads * head_dim);
        }
        let mut copy = ctx.scratch(self.longest() * head_dim);
        let mut scores = ctx.scratch(self.scores());
        let mut mask = ctx.scratch(if self.heads.dropout > 0.0 { self.scores() } else { 0 });
        let mut log_sums = ctx.scratch(rows * heads);
        let y = ctx.output();
        // Where there is nothing to attend to, the output is zero.
        if self.sequences().map(|s| s.queries.len()).sum::<usize>() < rows {
            y.fill(E::zero());
            log_sums.fill(E::zero());
        }
        for (sequence, head) in self.each_head() {
            let [q_start, k_start, v_start] = self.starts(head);
            let k = part(k, k_columns, sequence.memory.clone(), k_start, head_dim);
            let keys_t = k.transposed_for_gemm(sequence.queries.len(), &mut copy);
            for queries in self.query_tiles(&sequence) {
                let query_rows = within(&sequence.queries, &queries);
                let q = part(q, q_columns, query_rows.clone(), q_start, head_dim);
                let n = queries.len();
                let sums = &mut log_sums[head * rows..][query_rows.clone()];
                let mut maxima = [E::neg_infinity(); TILE.0];
                let mut totals = [E::zero(); TILE.0];
                let mut first = true;
                for keys in self.key_tiles(&sequence, &queries) {
                    let tile = self.tile(&sequence, head, queries.clone(), keys.clone());
                    let key_rows = within(&sequence.memory, &keys);
                    let scores = &mut scores[..n * keys.len()];
                    let into = MatMut::new(scores, n, keys.len());
                    gemm(E::of(self.heads.scale), q, keys_t.columns(keys.clone()), E::zero(), into, config);
                    tile.cap(scores, &mut []);
                    tile.add_bias(scores, table);
                    tile.apply_mask(scores);
                    let before = maxima;
                    let mut tile_totals = [E::zero(); TILE.0];
                    exp_minus_max_rows(scores, &mut maxima[..n], &mut tile_totals[..n]);
                    for i in 0..n {
                        if !first && before[i] != maxima[i] {
                            let kept = (before[i] - maxima[i]).exp();
                            scale(
                                kept,
                                &mut y[(query_rows.start + i) * heads * head_dim + head * head_dim..][..head_dim],
                            );
                            totals[i] *= kept;
                        }
                        totals[i] += tile_totals[i];
                    }
                    tile.drop_weights(scores, &mut mask, seed);
                    let v = part(v, v_columns, key_rows, v_start, head_dim);
                    let y = part_mut(y, heads * head_dim, query_rows.clone(), head * head_dim, head_dim);
                    let beta = if first { E::zero() } else { E::one() };
                    gemm(E::one(), Mat::new(scores, n, keys.len()), v, beta, y, config);
                    first = false;
                }
                vectorized(
                    #[inline(always)]
                    || {
                        for i in 0..n {
                            let inverse = totals[i].recip();
                            let row = &mut y[(query_rows.start + i) * heads * head_dim + head * head_dim..][..head_dim];
                            row.iter_mut().for_each(|y| *y *= inverse);
                            sums[i] = maxima[i] + totals[i].ln();
                        }
                    },
                );
            }
        }
        [scores, mask, copy].into_iter().for_each(|scratch| ctx.recycle(scratch));
        ctx.save(log_sums);
    }

    /// With the weights `p = exp(s - log Σ)`: `dv = pᵀ dy`, `ds = p (dy vᵀ - dy·y)`, `dq = α ds k`, `dk = α dsᵀ q`. A soft
    /// cap takes `1 - tanh²` of `ds` on the way.
    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let AttentionConfig { heads, head_dim, .. } = self.heads;
        let (q, k, v, config) = (ctx.input(0), ctx.input(1), ctx.input(2), ctx.gemm_config());
        let table = (ctx.inputs() > 3).then(|| ctx.input(3));
        let [q_columns, k_columns, v_columns] = [0, 1, 2].map(|i| ctx.shape(i)[1]);
        let (rows, y, dy) = (ctx.shape(0)[0], ctx.output(), ctx.dy());
        let log_sums = ctx.take_saved(0, rows * heads);
        // Dropout draws again what it drew in forward.
        let seed = ctx.dropout();
        let (mut copy, mut copy_v) = (ctx.scratch(self.longest() * head_dim), ctx.scratch(self.longest() * head_dim));
        let (mut weights, mut dscores) = (ctx.scratch(self.scores()), ctx.scratch(self.scores()));
        let mut mask = ctx.scratch(if self.heads.dropout > 0.0 { self.scores() } else { 0 });
        let mut slopes = ctx.scratch(if self.heads.soft_cap.is_some() { self.scores() } else { 0 });
        let alpha = E::of(self.heads.scale);
        for (sequence, head) in self.each_head() {
            let [q_start, k_start, v_start] = self.starts(head);
            let all_keys = part(k, k_columns, sequence.memory.clone(), k_start, head_dim);
            let all_values = part(v, v_columns, sequence.memory.clone(), v_start, head_dim);
            let keys_t = all_keys.transposed_for_gemm(sequence.queries.len(), &mut copy);
            let values_t = all_values.transposed_for_gemm(sequence.queries.len(), &mut copy_v);
            for queries in self.query_tiles(&sequence) {
                let query_rows = within(&sequence.queries, &queries);
                let n = queries.len();
                let mut means = [E::zero(); TILE.0];
                vectorized(
                    #[inline(always)]
                    || {
                        for (i, mean) in means[..n].iter_mut().enumerate() {
                            let start = (query_rows.start + i) * heads * head_dim + head * head_dim;
                            *mean =
                                lanes::sum(&y[start..start + head_dim], &dy[start..start + head_dim], |y, dy| y * dy);
                        }
                    },
                );
                let sums = &log_sums[head * rows..][query_rows.clone()];
                let q = part(q, q_columns, query_rows.clone(), q_start, head_dim);
                let dy = part(dy, heads * head_dim, query_rows.clone(), head * head_dim, head_dim);
                for keys in self.key_tiles(&sequence, &queries) {
                    let tile = self.tile(&sequence, head, queries.clone(), keys.clone());
                    let (m, key_rows) = (keys.len(), within(&sequence.memory, &keys));
                    let (weights, dscores) = (&mut weights[..n * m], &mut dscores[..n * m]);
                    let k = part(k, k_columns, key_rows.clone(), k_start, head_dim);
                    gemm(alpha, q, keys_t.columns(keys.clone()), E::zero(), MatMut::new(weights, n, m), config);
                    tile.cap(weights, &mut slopes);
                    tile.add_bias(weights, table);
                    tile.weights(weights, sums);
                    let into = MatMut::new(dscores, n, m);
                    gemm(E::one(), dy, values_t.columns(keys.clone()), E::zero(), into, config);
                    tile.score_gradients(weights, dscores, &means[..n], &mut mask, seed);
                    if let Some(dv) = ctx.dx(2) {
                        let dv = part_mut(dv, v_columns, key_rows.clone(), v_start, head_dim);
                        gemm(E::one(), Mat::new(weights, n, m).t(), dy, E::one(), dv, config);
                    }
                    if ctx.inputs() > 3
                        && let Some(dtable) = ctx.dx(3)
                    {
                        tile.add_bias_gradient(dscores, dtable);
                    }
                    tile.uncap(dscores, &slopes);
                    let ds = Mat::new(dscores, n, m);
                    if let Some(dq) = ctx.dx(0) {
                        let dq = part_mut(dq, q_columns, query_rows.clone(), q_start, head_dim);
                        gemm(alpha, ds, k, E::one(), dq, config);
                    }
                    if let Some(dk) = ctx.dx(1) {
                        let dk = part_mut(dk, k_columns, key_rows, k_start, head_dim);
                        gemm(alpha, ds.t(), q, E::one(), dk, config);
                    }
                }
            }
        }
        // Of sequences without partners too.
        (0..ctx.inputs()).for_each(|i| _ = ctx.dx(i));
        for scratch in [log_sums, weights, dscores, mask, slopes, copy, copy_v] {
            ctx.recycle(scratch);
        }
    }
}

impl<'t> Graph<'t> {
    /// Attention of many heads: each of `heads.heads` looks with its columns of the queries `[Nq, ..]` at its columns of
    /// the keys `[Nm, ..]` and gathers those of the values `[Nm, ..]`; to `[Nq, heads · head_dim]`. The segments, which must
    /// be rows one after the other, say which queries look at which keys. A `table[buckets, heads]` belongs to
    /// [`PositionBias::Buckets`].
    #[track_caller]
    pub fn multi_head_attention(
        self,
        heads: AttentionConfig,
        [q, k, v]: [AttentionOperand<'t>; 3],
        table: Option<Var<'t>>,
        queries: &Arc<Segments>,
        memory: &Arc<Segments>,
    ) -> Var<'t> {
        let columns = [q.column, k.column, v.column];
        let op = MultiHeadAttention { heads, columns, queries: queries.clone(), memory: memory.clone(), tile: TILE };
        match table {
            Some(table) => self.apply(op, &[q.x, k.x, v.x, table]),
            None => self.apply(op, &[q.x, k.x, v.x]),
        }
    }
}
