//! One tile of scores: some queries of a head by some keys.

use super::bias::PositionBias;
use super::config::{AttentionConfig, MultiHeadAttention, Sequence};
use crate::derive_seed::derive_seed;
use crate::ops::dropout::draw;
use crate::ops::soft_cap::soft_cap;
use descant_kernels::{Real, vectorized, zip_into};
use std::ops::Range;

/// Queries and keys are counted within their sequence. Scores are `[queries, keys]`.
pub(super) struct Tile<'a> {
    pub(super) op: &'a MultiHeadAttention,
    pub(super) sequence: &'a Sequence,
    pub(super) head: usize,
    pub(super) queries: Range<usize>,
    pub(super) keys: Range<usize>,
}

impl Tile<'_> {
    /// The columns that are visible to query `i` of the tile.
    fn visible_keys(&self, i: usize) -> Range<usize> {
        let Range { start, end } = self.op.visible_keys(self.sequence, self.queries.start + i);
        let column = |key: usize| key.clamp(self.keys.start, self.keys.end) - self.keys.start;
        column(start)..column(end)
    }

    /// The position of the first key of the tile, relative to query `i`.
    fn first_distance(&self, i: usize) -> isize {
        let place = self.queries.start + i + self.sequence.memory.len();
        self.keys.start as isize - (place as isize - self.sequence.queries.len() as isize)
    }

    /// Soft-caps the scores. Writes the derivatives to `slopes` if it has room.
    pub(super) fn cap<E: Real>(&self, scores: &mut [E], slopes: &mut [E]) {
        if let Some(cap) = self.op.heads.soft_cap {
            let room = slopes.len().min(scores.len());
            soft_cap(cap, scores, &mut slopes[..room]);
        }
    }

    /// The gradients of the scores from those of the capped scores.
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

    /// Sets masked scores to -∞.
    pub(super) fn apply_mask<E: Real>(&self, scores: &mut [E]) {
        if self.op.heads.causal {
            for (i, row) in scores.chunks_exact_mut(self.keys.len()).enumerate() {
                let visible = self.visible_keys(i);
                row[..visible.start].fill(E::neg_infinity());
                row[visible.end..].fill(E::neg_infinity());
            }
        }
    }

    /// The attention weights from the scores and the log-sum-exp of each query.
    pub(super) fn weights<E: Real>(&self, scores: &mut [E], log_sums: &[E]) {
        self.apply_mask(scores);
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
