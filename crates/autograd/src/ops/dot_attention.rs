//! Multiplicative attention over a ragged batch (Luong et al. 2015, arXiv 1508.04025), for each sequence
//!
//! ```text
//! context = softmax(α q kᵀ) v
//! ```
//!
//! Their "general" score is a linear layer on the queries before it, the score of Transformers has α = 1/√D.

use super::multi_head_attention::attend::{Heads, Kv, attend};
use super::multi_head_attention::{AttentionConfig, PositionBias};
use crate::attention_weights::weights;
use crate::ragged_attention::{Ragged, Rows};
use crate::{Backward, Case, Forward, GradCheck, Op, Segments, Var};
use descant_kernels::{Mat, MatMut, Real, gemm, zip_sum};
use descant_tensor::Shape;
use std::ops::Range;
use std::sync::Arc;

/// Inputs `q[Nq, D]`, `k[Nm, D]` and `v[Nm, V]`; output `[Nq, V]`, zero for queries that have no memory.
#[derive(Debug)]
pub struct DotAttention {
    batch: Ragged,
    scale: f64,
}

impl DotAttention {
    /// The weights of queries of this shape, every `every`th, and of keys.
    pub(crate) fn weights<E: Real>(&self, (q, shape): (&[E], Shape), k: &[E], every: usize) -> Vec<Vec<f64>> {
        let (queries, width) = (shape.rows(), shape.last());
        weights(queries, (&self.batch.queries, &self.batch.memory), 1, every, |_, query, memory, scores| {
            let q = &q[query * width..][..width];
            for (score, key) in scores.iter_mut().zip(memory) {
                *score = self.scale * zip_sum(q, &k[key * width..][..width], |q, k| q * k).f64();
            }
        })
    }

    /// Which queries look at which memory.
    pub(crate) fn batch(&self) -> Ragged {
        self.batch.clone()
    }

    /// The factor of the scores.
    pub(crate) fn scale(&self) -> f64 {
        self.scale
    }

    /// The queries of each sequence.
    pub(crate) fn queries(&self) -> &Segments {
        &self.batch.queries
    }

    /// Without a backward: attention of one head, whose order of summation depends on the query's own memory alone.
    fn attend<E: Real>(&self, ctx: &mut Forward<'_, E>, width: usize) {
        let (q, k, v) = (ctx.input(0), ctx.input(1), ctx.input(2));
        let Ragged { queries, memory } = &self.batch;
        let is_copied = [queries, memory].map(|segments| !segments.are_spans());
        let copy = |x: &[E], segments: &Segments, is_copied: bool, ctx: &mut Forward<'_, E>| {
            let mut copy = ctx.scratch(if is_copied { segments.tokens() * width } else { 0 });
            let rows = (0..segments.len()).flat_map(|i| segments.rows(i));
            copy.chunks_exact_mut(width.max(1)).zip(rows).for_each(|(y, &row)| {
                y.copy_from_slice(&x[row * width..][..width]);
            });
            copy
        };
        let (q_copy, k_copy) = (copy(q, queries, is_copied[0], ctx), copy(k, memory, is_copied[1], ctx));
        let v_copy = copy(v, memory, is_copied[1], ctx);
        let q = if is_copied[0] { &q_copy } else { q };
        let (k, v) = if is_copied[1] { (&*k_copy, &*v_copy) } else { (k, v) };
        let config = AttentionConfig {
            heads: 1,
            kv_heads: 1,
            head_dim: width,
            scale: self.scale,
            causal: false,
            window: None,
            bias: PositionBias::None,
            soft_cap: None,
            dropout: 0.0,
        };
        let sequences = (0..queries.len()).filter_map(|i| {
            let rows = queries.span_or_joined(i, !is_copied[0]);
            let keys = memory.span_or_joined(i, !is_copied[1]);
            let (q, kv) = (part(q, &rows, width), Kv::Rows { k: part(k, &keys, width), v: part(v, &keys, width) });
            let is_empty = rows.is_empty() || keys.is_empty();
            (!is_empty).then(|| Heads { config: &config, heads: 0..1, q, kv, keys: keys.len(), rows, table: None })
        });
        attend(ctx, sequences, width);
        if is_copied[0] {
            let mut joined = q_copy;
            let y = ctx.output();
            let len = joined.len();
            joined.copy_from_slice(&y[..len]);
            y.fill(E::zero());
            let rows = (0..queries.len()).flat_map(|i| queries.rows(i));
            joined.chunks_exact(width.max(1)).zip(rows).for_each(|(x, &row)| {
                y[row * width..][..width].copy_from_slice(x);
            });
            ctx.recycle(joined);
        } else {
            ctx.recycle(q_copy);
        }
        ctx.recycle(k_copy);
        ctx.recycle(v_copy);
    }
}

/// Consecutive rows of `x[N, width]`.
fn part<'a, E: Real>(x: &'a [E], rows: &Range<usize>, width: usize) -> Mat<'a, E> {
    Mat::new(&x[rows.start * width..], rows.len(), width)
}

impl Op for DotAttention {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.batch.shape(inputs[0], inputs[1], inputs[2])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (q, k, width, config) = (ctx.input(0), ctx.input(1), ctx.shape(0)[1], ctx.gemm_config());
        if config.batch_invariant && ctx.shape(2)[1] == width {
            return self.attend(ctx, width);
        }
        let (queries, memory) = self.batch.longest();
        let (mut copy_q, mut copy_k) = (ctx.scratch(queries * width), ctx.scratch(memory * width));
        let mut transposed = ctx.scratch(memory * width);
        let mut scores = ctx.scratch(self.batch.scores());
        for sequence in self.batch.sequences() {
            let q = Rows { rows: sequence.queries, width }.gather(q, &mut copy_q);
            let k = Rows { rows: sequence.memory, width }.gather(k, &mut copy_k);
            let scores = &mut scores[sequence.scores];
            let scores = MatMut::new(scores, sequence.queries.len(), sequence.memory.len());
            // A copy would change the order of summation with the number of queries.
            let k_t = match config.batch_invariant {
                true => k.t(),
                false => k.transposed_for_gemm(sequence.queries.len(), &mut transposed),
            };
            gemm(E::of(self.scale), q, k_t, E::zero(), scores, config);
        }
        self.batch.contexts(ctx, 2, &mut scores);
        [copy_q, copy_k, transposed].into_iter().for_each(|scratch| ctx.recycle(scratch));
        ctx.save(scores);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (q, k, width, config) = (ctx.input(0), ctx.input(1), ctx.shape(0)[1], ctx.gemm_config());
        let mut scores = ctx.take_saved(0, self.batch.scores());
        self.batch.contexts_backward(ctx, 2, &mut scores);
        let (queries, memory) = self.batch.longest();
        let mut copy = ctx.scratch(queries.max(memory) * width);
        let mut product = ctx.scratch(queries.max(memory) * width);
        let scale = E::of(self.scale);
        for sequence in self.batch.sequences() {
            let dscores = Mat::new(&scores[sequence.scores], sequence.queries.len(), sequence.memory.len());
            let queries = Rows { rows: sequence.queries, width };
            let memory = Rows { rows: sequence.memory, width };
            if let Some(dq) = ctx.dx(0) {
                let k = memory.gather(k, &mut copy);
                queries.add_product(scale, dscores, k, dq, &mut product, config);
            }
            if let Some(dk) = ctx.dx(1) {
                let q = queries.gather(q, &mut copy);
                memory.add_product(scale, dscores.t(), q, dk, &mut product, config);
            }
        }
        for scratch in [scores, copy, product] {
            ctx.recycle(scratch);
        }
    }
}

impl GradCheck for DotAttention {
    fn cases() -> Vec<Case> {
        let mut cases = Ragged::cases(
            &[&[7, 3], &[7, 3], &[7, 2]],
            |x, Ragged { queries, memory }| x[0].dot_attention(x[1], x[2], queries, memory, 2.0),
            |x, batch| batch.reference([x[0], x[1], x[2]], |q, k| (q + q).matmul_t(k)),
        );
        let Ragged { queries, memory } = Ragged::example();
        cases.push(Case::new("keys are the values", &[&[7, 3], &[7, 3]], move |_, x| {
            x[0].dot_attention(x[1], x[1], &queries, &memory, 1.0)
        }));
        cases
    }
}

impl<'t> Var<'t> {
    /// The context of each query, `softmax(scale · self keysᵀ) values` over the memory of its own sequence: `self[Nq, D]`,
    /// `keys[Nm, D]`, `values[Nm, V]` to `[Nq, V]`. `queries` are the rows of `self` and `memory` those of `keys` and
    /// `values` that belong to each sequence. A query without memory has a context of zeros.
    #[track_caller]
    pub fn dot_attention(
        self,
        keys: Self,
        values: Self,
        queries: &Arc<Segments>,
        memory: &Arc<Segments>,
        scale: f64,
    ) -> Self {
        let batch = Ragged::new(queries, memory);
        self.graph().apply(DotAttention { batch, scale }, &[self, keys, values])
    }
}
