//! Attention without a backward, as inference computes it: every head of every sequence for itself, in an order of summation
//! that depends on the query's own keys alone. So a token's output has the same bits alone and in a batch, with its prompt or step by
//! step.

use super::config::AttentionConfig;
use crate::Forward;
use crate::ops::soft_cap::soft_cap;
use descant_kernels::{GemmConfig, Mat, MatMut, Parallelism, Real, exp_minus_max_rows, gemm, run_on_threads, scale};
use smallvec::SmallVec;
use std::ops::Range;

/// Queries whose scores exist at once.
const TILE: usize = 16;

/// Multiply-adds from which a second thread pays.
const MIN_WORK: usize = 1 << 16;

/// Keys and values of consecutive tokens, `[tokens, head_dim]` each.
pub(in crate::ops) struct KvPiece<'a, E> {
    pub(in crate::ops) tokens: usize,
    pub(in crate::ops) k: Mat<'a, E>,
    pub(in crate::ops) v: Mat<'a, E>,
}

/// One head of one sequence.
pub(in crate::ops) struct Head<'a, E> {
    pub(in crate::ops) config: &'a AttentionConfig,
    pub(in crate::ops) head: usize,
    /// `[n, head_dim]`.
    pub(in crate::ops) q: Mat<'a, E>,
    /// Piece after piece.
    pub(in crate::ops) kv: SmallVec<[KvPiece<'a, E>; 4]>,
    /// Tokens of all pieces.
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
            for (keys, k, _) in self.pieces(first..last) {
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
            for (keys, _, v) in self.pieces(first..last) {
                let weights = Mat::strided(&scores[keys.start - first..], rows, keys.len(), m);
                let beta = if keys.start == first { E::zero() } else { E::one() };
                gemm(E::one(), weights, v, beta, MatMut::strided(y, rows, width, y_stride), config);
            }
            for (i, &sum) in sums[..rows].iter().enumerate() {
                scale(sum.recip(), &mut y[i * y_stride..][..width]);
            }
        }
    }

    /// The pieces of keys and values that are within a range of keys.
    fn pieces(&self, keys: Range<usize>) -> impl Iterator<Item = (Range<usize>, Mat<'_, E>, Mat<'_, E>)> {
        let mut next = 0;
        self.kv.iter().filter_map(move |&KvPiece { tokens, k, v }| {
            let own = next..next + tokens;
            next = own.end;
            let Range { start, end } = own.start.max(keys.start)..own.end.min(keys.end);
            let inside = start.wrapping_sub(own.start)..end.wrapping_sub(own.start);
            (start < end).then(|| (start..end, k.rows(inside.clone()), v.rows(inside)))
        })
    }
}

/// The outputs of all heads, `[N, heads · head_dim]`; zero where there is nothing to attend to.
pub(in crate::ops) fn attend<E: Real>(ctx: &mut Forward<'_, E>, heads: &[Head<'_, E>], columns: usize) {
    let config = ctx.gemm_config();
    let serial = GemmConfig { parallelism: Parallelism::Serial, ..config };
    let work: usize = heads.iter().map(Head::work).sum();
    let threads = match config.parallelism {
        Parallelism::Threads(threads) if work >= MIN_WORK => threads.clamp(1, heads.len().max(1)),
        _ => 1,
    };
    let room = heads.iter().map(Head::scores).max().unwrap_or(0);
    let mut scores = ctx.scratch(threads * room);
    let queries: usize = heads.iter().map(|head| head.rows.len()).sum();
    let is_partial = heads.first().is_none_or(|head| queries * head.config.head_dim < ctx.output().len());
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
    let length = |heads: &[Head<'_, E>]| heads.iter().map(|head| head.rows.len() * head.config.head_dim).sum::<usize>();
    let mut outputs = ctx.scratch(length(heads));
    let (mut left, mut rest, mut done) = (heads, &mut outputs[..], 0);
    let parts = scores.chunks_exact_mut(room.max(1)).enumerate().map(|(thread, scores)| {
        let (goal, mut count) = (work * (thread + 1) / threads, 0);
        while count < left.len() && (done < goal || thread + 1 == threads) {
            done += left[count].work();
            count += 1;
        }
        let (own, others) = left.split_at(count);
        let (outputs, after) = std::mem::take(&mut rest).split_at_mut(length(own));
        (left, rest) = (others, after);
        move || {
            let mut outputs = outputs;
            for head in own {
                let width = head.config.head_dim;
                let (y, after) = std::mem::take(&mut outputs).split_at_mut(head.rows.len() * width);
                head.forward(scores, y, width, serial);
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
