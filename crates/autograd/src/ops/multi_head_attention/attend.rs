//! Attention without a backward, as inference computes it: every sequence and head for itself, in an order of summation
//! that depends on the query's own keys alone. So a token's output has the same bits alone and in a batch, with its prompt or step by
//! step.

use super::config::AttentionConfig;
use crate::kv_cache::BLOCK;
use crate::ops::soft_cap::soft_cap;
use crate::{Forward, KvCache};
use descant_kernels::{Mat, Parallelism, Real, exp_minus_max_rows, fetch_rows, gemm_batched, run_on_threads, scale};
use std::ops::Range;

/// Queries whose scores exist at once: of one head, or where a sequence has fewer, as in a step of decoding, of several.
const TILE: usize = 16;

/// Multiply-adds from which a second thread pays.
const MIN_WORK: usize = 1 << 16;

/// The keys and values that a sequence reads. The order of summation is the same for both: from the first key to the last.
#[derive(Clone, Copy)]
pub(in crate::ops) enum Kv<'a, E> {
    /// Of a row in a layer of a KV cache: its first columns are the keys of all heads, then follow the values.
    Cached { cache: &'a KvCache, row: usize, layer: usize },
    /// `[keys, kv_heads · head_dim]` each.
    Rows { k: Mat<'a, E>, v: Mat<'a, E> },
}

/// Keys and values one after the other, of a block of the KV cache or all: `[keys, kv_heads · head_dim]` each.
struct Block<'a, E> {
    keys: Range<usize>,
    k: Mat<'a, E>,
    v: Mat<'a, E>,
}

/// All heads of one sequence, or some of them.
#[derive(Clone)]
pub(in crate::ops) struct Heads<'a, E> {
    pub(in crate::ops) config: &'a AttentionConfig,
    pub(in crate::ops) heads: Range<usize>,
    /// `[n, heads · head_dim]`, of all heads.
    pub(in crate::ops) q: Mat<'a, E>,
    pub(in crate::ops) kv: Kv<'a, E>,
    pub(in crate::ops) keys: usize,
    /// The rows of the output that its queries have.
    pub(in crate::ops) rows: Range<usize>,
    /// Position biases, `[buckets, heads]`.
    pub(in crate::ops) table: Option<&'a [E]>,
}

impl<'a, E: Real> Heads<'a, E> {
    /// About so many equal parts of its heads.
    fn split(self, parts: usize) -> impl Iterator<Item = Self> + Clone {
        let (heads, count) = (self.heads.clone(), self.heads.len().div_ceil(parts).max(1));
        heads.clone().step_by(count).map(move |start| {
            let heads = start..heads.end.min(start + count);
            Self { heads, ..self.clone() }
        })
    }

    fn work(&self) -> usize {
        self.outputs() * self.keys
    }

    fn scores(&self) -> usize {
        (self.rows.len() * self.heads.len()).min(TILE) * self.keys
    }

    /// Columns of its output.
    fn columns(&self) -> usize {
        self.heads.len() * self.config.head_dim
    }

    /// Elements of its output.
    fn outputs(&self) -> usize {
        self.rows.len() * self.columns()
    }

    /// The keys that are visible to a query.
    fn visible_keys(&self, query: usize) -> Range<usize> {
        if !self.config.causal {
            return 0..self.keys;
        }
        let end = (query + 1 + self.keys).saturating_sub(self.rows.len());
        end.saturating_sub(self.config.window.unwrap_or(end))..end
    }

    /// Writes the output, `[n, heads · head_dim]` of its own heads, to `y`, whose rows are so many elements apart.
    fn forward(&self, scores: &mut [E], y: &mut [E], y_stride: usize) {
        let n = self.rows.len();
        for first in self.heads.clone().step_by(TILE / n.clamp(1, TILE)) {
            let heads = first..self.heads.end.min(first + TILE / n.clamp(1, TILE));
            let column = (first - self.heads.start) * self.config.head_dim;
            for start in (0..n).step_by(TILE) {
                let y = &mut y[start * y_stride + column..];
                self.tile(heads.clone(), start..n.min(start + TILE), scores, y, y_stride);
            }
        }
    }

    /// Fetches what it reads first, while another one is computed: of few queries, attention waits for its keys and values.
    fn fetch(&self) {
        let all = 0..if matches!(self.kv, Kv::Rows { .. }) { self.keys } else { self.keys.min(BLOCK) };
        if self.rows.len() < TILE
            && let Some(Block { k, v, .. }) = self.blocks(all).next()
        {
            let kv = |head: usize| head / (self.config.heads / self.config.kv_heads) * self.config.head_dim;
            let columns = kv(self.heads.start)..kv(self.heads.end - 1) + self.config.head_dim;
            fetch_rows(k.columns(columns.clone()));
            fetch_rows(v.columns(columns));
        }
    }

    /// Some queries of some heads, at most [`TILE`] together.
    fn tile(&self, heads: Range<usize>, queries: Range<usize>, scores: &mut [E], y: &mut [E], y_stride: usize) {
        let width = self.config.head_dim;
        let of = |head: usize| head * width..(head + 1) * width;
        let of_keys = |head: usize| of(head / (self.config.heads / self.config.kv_heads));
        let of_kv = |heads: &Range<usize>| of_keys(heads.start).start..of_keys(heads.end - 1).end;
        let (first, last) = (self.visible_keys(queries.start).start, self.visible_keys(queries.end - 1).end);
        let (rows, m) = (queries.len(), last - first);
        let scores = &mut scores[..heads.len() * rows * m];
        let q = self.q.rows(queries.clone());
        let mut blocks = self.blocks(first..last).peekable();
        while let Some(Block { keys, k, .. }) = blocks.next() {
            if let Some(next) = blocks.peek() {
                fetch_rows(next.k.columns(of_kv(&heads)));
            }
            let operands = heads.clone().map(|head| (q.columns(of(head)), k.columns(of_keys(head)).t()));
            let into = &mut scores[keys.start - first..];
            gemm_batched(E::of(self.config.scale), operands, E::zero(), into, (rows * m, m));
        }
        if let Some(cap) = self.config.soft_cap {
            soft_cap(cap, scores, &mut []);
        }
        let (mut maxima, mut sums) = ([E::neg_infinity(); TILE], [E::zero(); TILE]);
        let (maxima, sums) = (&mut maxima[..heads.len() * rows], &mut sums[..heads.len() * rows]);
        for (i, row) in scores.chunks_exact_mut(m).enumerate() {
            let (head, query) = (heads.start + i / rows, queries.start + i % rows);
            let distance = first as isize + self.rows.len() as isize - (query + self.keys) as isize;
            self.config.bias.add(self.config.heads, head, distance, row, self.table);
        }
        if rows == 1 || !self.config.causal {
            exp_minus_max_rows(scores, maxima, sums);
        } else {
            for (i, row) in scores.chunks_exact_mut(m).enumerate() {
                let Range { start, end } = self.visible_keys(queries.start + i % rows);
                row[..start - first].fill(E::zero());
                row[end - first..].fill(E::zero());
                exp_minus_max_rows(&mut row[start - first..end - first], &mut maxima[i..=i], &mut sums[i..=i]);
            }
        }
        let mut blocks = self.blocks(first..last).peekable();
        while let Some(Block { keys, v, .. }) = blocks.next() {
            if let Some(next) = blocks.peek() {
                fetch_rows(next.v.columns(of_kv(&heads)));
            }
            let weights = |i: usize| Mat::strided(&scores[i * rows * m + keys.start - first..], rows, keys.len(), m);
            let operands = heads.clone().enumerate().map(|(i, head)| (weights(i), v.columns(of_keys(head))));
            let beta = if keys.start == first { E::zero() } else { E::one() };
            gemm_batched(E::one(), operands, beta, y, (width, y_stride));
        }
        for (i, &sum) in sums.iter().enumerate() {
            scale(sum.recip(), &mut y[i % rows * y_stride + i / rows * width..][..width]);
        }
    }

    /// The keys and values within a range of keys.
    fn blocks(&self, range: Range<usize>) -> impl Iterator<Item = Block<'_, E>> {
        let size = if matches!(self.kv, Kv::Rows { .. }) { self.keys } else { BLOCK };
        let blocks = if range.is_empty() { 0..0 } else { range.start / size..range.end.div_ceil(size) };
        blocks.map(move |block| {
            let first = block * size;
            let keys = range.start.max(first)..range.end.min(first + size);
            let (k, v) = match self.kv {
                Kv::Rows { k, v } => (k.rows(keys.clone()), v.rows(keys.clone())),
                Kv::Cached { cache, row, layer } => {
                    let (elements, columns) = (cache.block(row, layer, block), cache.columns());
                    let start = (keys.start - first) * columns;
                    let part = |column| Mat::strided(&elements[start + column..], keys.len(), columns / 2, columns);
                    (part(0), part(columns / 2))
                }
            };
            Block { keys, k, v }
        })
    }
}

/// The outputs of some sequences, `[N, heads · head_dim]`; zero where there is nothing to attend to.
pub(in crate::ops) fn attend<'a, E: Real>(
    ctx: &mut Forward<'_, E>,
    sequences: impl Iterator<Item = Heads<'a, E>> + Clone + Send,
    columns: usize,
) {
    let (mut count, mut work, mut length, mut end, mut in_order) = (0, 0, 0, 0, true);
    for sequence in sequences.clone() {
        count += 1;
        work += sequence.work();
        length += sequence.outputs();
        in_order &= sequence.rows.start == end;
        end = sequence.rows.end;
    }
    let threads = match ctx.gemm_config().parallelism {
        Parallelism::Threads(threads) if work >= MIN_WORK => threads.max(1),
        _ => 1,
    };
    // Few sequences are shared out by their heads.
    let parts = if count >= 2 * threads { 1 } else { threads };
    let units = sequences.flat_map(move |sequence| sequence.split(parts));
    let room = units.clone().map(|unit| unit.scores()).max().unwrap_or(0);
    let mut scores = ctx.scratch(threads * room);
    let is_partial = length < ctx.output().len();
    if is_partial {
        ctx.output().fill(E::zero());
    }
    if threads == 1 {
        let y = ctx.output();
        let mut units = units.peekable();
        while let Some(unit) = units.next() {
            units.peek().into_iter().for_each(Heads::fetch);
            let place = unit.rows.start * columns + unit.heads.start * unit.config.head_dim;
            unit.forward(&mut scores, &mut y[place..], columns);
        }
        return ctx.recycle(scores);
    }
    // Each thread writes to memory of its own, where the columns of a unit are not all columns of its rows.
    let is_direct = parts == 1 && in_order && !is_partial;
    let mut outputs = ctx.scratch(if is_direct { 0 } else { length });
    let mut rest = if is_direct { ctx.output() } else { &mut outputs[..] };
    let (mut left, mut done) = (units.clone(), 0);
    let shares = scores.chunks_exact_mut(room.max(1)).enumerate().map(|(thread, scores)| {
        let (own, goal, mut count, mut length) = (left.clone(), work * (thread + 1) / threads, 0, 0);
        while (done < goal || thread + 1 == threads)
            && let Some(unit) = left.next()
        {
            done += unit.work();
            count += 1;
            length += unit.outputs();
        }
        let (mut outputs, after) = std::mem::take(&mut rest).split_at_mut(length);
        rest = after;
        move || {
            let mut own = own.take(count).peekable();
            while let Some(unit) = own.next() {
                own.peek().into_iter().for_each(Heads::fetch);
                let (y, after) = std::mem::take(&mut outputs).split_at_mut(unit.outputs());
                unit.forward(scores, y, unit.columns());
                outputs = after;
            }
        }
    });
    run_on_threads(shares);
    if !is_direct {
        let (y, mut rest) = (ctx.output(), &outputs[..]);
        for unit in units {
            for row in unit.rows.clone() {
                let place = row * columns + unit.heads.start * unit.config.head_dim;
                y[place..][..unit.columns()].copy_from_slice(&rest[..unit.columns()]);
                rest = &rest[unit.columns()..];
            }
        }
    }
    ctx.recycle(outputs);
    ctx.recycle(scores);
}
