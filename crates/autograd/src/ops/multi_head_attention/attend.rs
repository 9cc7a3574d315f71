//! Attention without a backward, as inference computes it: every head of every sequence for itself, in an order of summation
//! that depends on the query's own keys alone. So a token's output has the same bits alone and in a batch, with its prompt or step by
//! step.

use super::config::AttentionConfig;
use crate::kv_cache::BLOCK;
use crate::ops::soft_cap::soft_cap;
use crate::{Forward, KvCache};
use descant_kernels::{GemmConfig, Mat, MatMut, Parallelism, Real, exp_minus_max_rows, gemm, run_on_threads, scale};
use std::ops::Range;

/// Queries whose scores exist at once.
const TILE: usize = 16;

/// Multiply-adds from which a second thread pays.
const MIN_WORK: usize = 1 << 16;

/// The keys and values that a head reads, in blocks as a KV cache has them: the order of summation is then the same.
#[derive(Clone, Copy)]
pub(in crate::ops) enum Kv<'a, E> {
    /// Of a row in a layer of a KV cache: the columns where those of the head begin.
    Cached { cache: &'a KvCache, row: usize, layer: usize, columns: [usize; 2] },
    /// `[keys, head_dim]` each.
    Rows { k: Mat<'a, E>, v: Mat<'a, E> },
}

/// One head of one sequence.
pub(in crate::ops) struct Head<'a, E> {
    pub(in crate::ops) config: &'a AttentionConfig,
    pub(in crate::ops) head: usize,
    /// `[n, head_dim]`.
    pub(in crate::ops) q: Mat<'a, E>,
    pub(in crate::ops) kv: Kv<'a, E>,
    pub(in crate::ops) keys: usize,
    /// The rows of the output that its queries have.
    pub(in crate::ops) rows: Range<usize>,
    /// Position biases, `[buckets, heads]`.
    pub(in crate::ops) table: Option<&'a [E]>,
}

impl<E: Real> Head<'_, E> {
    fn work(&self) -> usize {
        self.rows.len() * self.keys * self.config.head_dim
    }

    fn scores(&self) -> usize {
        self.rows.len().min(TILE) * self.keys
    }

    /// Elements of its output.
    fn outputs(&self) -> usize {
        self.rows.len() * self.config.head_dim
    }

    /// The keys that are visible to a query.
    fn visible_keys(&self, query: usize) -> Range<usize> {
        if !self.config.causal {
            return 0..self.keys;
        }
        let end = (query + 1 + self.keys).saturating_sub(self.rows.len());
        end.saturating_sub(self.config.window.unwrap_or(end))..end
    }

    /// Writes the output of the queries, `[n, head_dim]`, to `y`, whose rows are so many elements apart.
    fn forward(&self, scores: &mut [E], y: &mut [E], y_stride: usize, config: GemmConfig) {
        let (n, width) = (self.rows.len(), self.config.head_dim);
        for start in (0..n).step_by(TILE) {
            let queries = start..n.min(start + TILE);
            let (first, last) = (self.visible_keys(queries.start).start, self.visible_keys(queries.end - 1).end);
            let (rows, m) = (queries.len(), last - first);
            let scores = &mut scores[..rows * m];
            let q = self.q.rows(queries.clone());
            for (keys, k, _) in self.blocks(first..last) {
                let into = MatMut::strided(&mut scores[keys.start - first..], rows, keys.len(), m);
                gemm(E::of(self.config.scale), q, k.t(), E::zero(), into, config);
            }
            if let Some(cap) = self.config.soft_cap {
                soft_cap(cap, scores, &mut []);
            }
            let mut sums = [E::zero(); TILE];
            for (i, row) in scores.chunks_exact_mut(m).enumerate() {
                let query = queries.start + i;
                let distance = first as isize - (query + self.keys) as isize + n as isize;
                self.config.bias.add(self.config.heads, self.head, distance, row, self.table);
                let Range { start, end } = self.visible_keys(query);
                row[..start - first].fill(E::zero());
                row[end - first..].fill(E::zero());
                let (mut max, row) = ([E::neg_infinity()], &mut row[start - first..end - first]);
                exp_minus_max_rows(row, &mut max, &mut sums[i..=i]);
            }
            let y = &mut y[start * y_stride..];
            for (keys, _, v) in self.blocks(first..last) {
                let weights = Mat::strided(&scores[keys.start - first..], rows, keys.len(), m);
                let beta = if keys.start == first { E::zero() } else { E::one() };
                gemm(E::one(), weights, v, beta, MatMut::strided(y, rows, width, y_stride), config);
            }
            for (i, &sum) in sums[..rows].iter().enumerate() {
                scale(sum.recip(), &mut y[i * y_stride..][..width]);
            }
        }
    }

    /// The parts of each block of keys and values that are within a range of keys.
    fn blocks(&self, keys: Range<usize>) -> impl Iterator<Item = (Range<usize>, Mat<'_, E>, Mat<'_, E>)> {
        let blocks = if keys.is_empty() { 0..0 } else { keys.start / BLOCK..keys.end.div_ceil(BLOCK) };
        blocks.map(move |block| {
            let first = block * BLOCK;
            let own = keys.start.max(first)..keys.end.min(first + BLOCK);
            let (k, v) = match self.kv {
                Kv::Rows { k, v } => (k.rows(own.clone()), v.rows(own.clone())),
                Kv::Cached { cache, row, layer, columns } => {
                    let (elements, width) = (cache.block(row, layer, block), cache.columns());
                    let start = (own.start - first) * width;
                    let part =
                        |column| Mat::strided(&elements[start + column..], own.len(), self.config.head_dim, width);
                    (part(columns[0]), part(columns[1]))
                }
            };
            (own, k, v)
        })
    }
}

/// The outputs of all heads, `[N, heads · head_dim]`; zero where there is nothing to attend to.
pub(in crate::ops) fn attend<'a, E: Real>(
    ctx: &mut Forward<'_, E>,
    heads: impl Iterator<Item = Head<'a, E>> + Clone + Send,
    columns: usize,
) {
    let config = ctx.gemm_config();
    let serial = GemmConfig { parallelism: Parallelism::Serial, ..config };
    let (mut count, mut work, mut room, mut length) = (0, 0, 0, 0);
    for head in heads.clone() {
        count += 1;
        work += head.work();
        room = head.scores().max(room);
        length += head.outputs();
    }
    let threads = match config.parallelism {
        Parallelism::Threads(threads) if work >= MIN_WORK => threads.clamp(1, count.max(1)),
        _ => 1,
    };
    let mut scores = ctx.scratch(threads * room);
    let is_partial = length < ctx.output().len();
    if is_partial {
        ctx.output().fill(E::zero());
    }
    if threads == 1 {
        let y = ctx.output();
        for head in heads {
            let place = head.rows.start * columns + head.head * head.config.head_dim;
            head.forward(&mut scores, &mut y[place..], columns, serial);
        }
        return ctx.recycle(scores);
    }
    // Each thread writes to memory of its own, as the columns of a head are not contiguous.
    let mut outputs = ctx.scratch(length);
    let (mut left, mut rest, mut done) = (heads.clone(), &mut outputs[..], 0);
    let parts = scores.chunks_exact_mut(room.max(1)).enumerate().map(|(thread, scores)| {
        let (own, goal, mut count, mut length) = (left.clone(), work * (thread + 1) / threads, 0, 0);
        while (done < goal || thread + 1 == threads)
            && let Some(head) = left.next()
        {
            done += head.work();
            count += 1;
            length += head.outputs();
        }
        let (mut outputs, after) = std::mem::take(&mut rest).split_at_mut(length);
        rest = after;
        move || {
            for head in own.take(count) {
                let (y, after) = std::mem::take(&mut outputs).split_at_mut(head.outputs());
                head.forward(scores, y, head.config.head_dim, serial);
                outputs = after;
            }
        }
    });
    run_on_threads(parts);
    let (y, mut rest) = (ctx.output(), &outputs[..]);
    for head in heads {
        let width = head.config.head_dim;
        for row in head.rows.clone() {
            y[row * columns + head.head * width..][..width].copy_from_slice(&rest[..width]);
            rest = &rest[width..];
        }
    }
    ctx.recycle(outputs);
    ctx.recycle(scores);
}
