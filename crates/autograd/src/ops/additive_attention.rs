//! Additive attention over a ragged batch (Bahdanau et al. 2015, arXiv 1409.0473), for each sequence
//!
//! ```text
//! scoreᵢⱼ = Σₐ wₐ tanh(qᵢₐ + kⱼₐ)      context = softmax(score) v
//! ```
//!
//! The "concat" score of Luong et al. (2015, arXiv 1508.04025) is the same, with its matrix split into the part that
//! meets the queries and the part that meets the keys. The hyperbolic tangents are computed once more in backward: they
//! are by far the largest values, one for each query, row of memory and column.

use crate::attention_weights::weights;
use crate::ragged_attention::Ragged;
use crate::{Backward, Case, Forward, GradCheck, Op, Segments, Var};
use descant_kernels::{Mat, MatMut, Real, axpy, gemm, map, sum_rows_into, zip_into, zip_sum};
use descant_tensor::Shape;
use std::sync::Arc;

/// Inputs `q[Nq, A]`, `k[Nm, A]`, `w[A]` and `v[Nm, V]`; output `[Nq, V]`, zero for queries that have no memory.
#[derive(Debug)]
pub struct AdditiveAttention {
    batch: Ragged,
}

impl AdditiveAttention {
    /// The weights of queries of this shape, every `every`th, and of keys.
    pub(crate) fn weights<E: Real>(&self, (q, shape): (&[E], Shape), k: &[E], w: &[E], every: usize) -> Vec<Vec<f64>> {
        let (queries, width) = (shape.rows(), shape.last());
        let mut sums = vec![E::zero(); self.batch.longest().1 * width];
        weights(queries, (&self.batch.queries, &self.batch.memory), 1, every, |_, query, memory, scores| {
            let sums = &mut sums[..memory.len() * width];
            tanh_sums(&q[query * width..][..width], k, memory, sums);
            for (score, sums) in scores.iter_mut().zip(sums.chunks_exact(width.max(1))) {
                *score = zip_sum(sums, w, |sum, w| sum * w).f64();
            }
        })
    }

    /// Which queries look at which memory.
    pub(crate) fn batch(&self) -> Ragged {
        self.batch.clone()
    }

    /// The queries of each sequence.
    pub(crate) fn queries(&self) -> &Segments {
        &self.batch.queries
    }
}

/// `tanh(q + k)` of one query and each of these rows of the keys.
fn tanh_sums<E: Real>(q: &[E], k: &[E], memory: &[usize], sums: &mut [E]) {
    for (sum, &row) in sums.chunks_exact_mut(q.len().max(1)).zip(memory) {
        zip_into(sum, q, &k[row * q.len()..][..q.len()], |_, q, k| q + k);
    }
    E::tanh_all(sums);
}

impl Op for AdditiveAttention {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let shape = self.batch.shape(inputs[0], inputs[1], inputs[3])?;
        let width = inputs[0][1];
        if inputs[2].dims() != [width] {
            return Err(format!("expected a weight of shape [{width}]"));
        }
        Ok(shape)
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (q, k, w, width) = (ctx.input(0), ctx.input(1), ctx.input(2), ctx.shape(0)[1]);
        let mut scores = ctx.scratch(self.batch.scores());
        let mut sums = ctx.scratch(self.batch.longest().1 * width);
        for sequence in self.batch.sequences() {
            let memory = sequence.memory;
            let sums = &mut sums[..memory.len() * width];
            for (scores, &row) in scores[sequence.scores].chunks_exact_mut(memory.len()).zip(sequence.queries) {
                tanh_sums(&q[row * width..][..width], k, memory, sums);
                let scores = MatMut::new(scores, memory.len(), 1);
                gemm(
                    E::one(),
                    Mat::new(sums, memory.len(), width),
                    Mat::new(w, width, 1),
                    E::zero(),
                    scores,
                    ctx.gemm_config(),
                );
            }
        }
        self.batch.contexts(ctx, 3, &mut scores);
        ctx.recycle(sums);
        ctx.save(scores);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (q, k, w, width) = (ctx.input(0), ctx.input(1), ctx.input(2), ctx.shape(0)[1]);
        let mut scores = ctx.take_saved(0, self.batch.scores());
        self.batch.contexts_backward(ctx, 3, &mut scores);
        let (queries, memory) = self.batch.longest();
        let mut sums = ctx.scratch(memory * width);
        // The gradients of the sums, summed over the memory and over the queries, still without the factor `w`.
        let mut dq_sum = ctx.scratch(queries * width);
        let mut dk_sum = ctx.scratch(memory * width);
        let mut dw_sum = ctx.scratch(width);
        dw_sum.fill(E::zero());
        for sequence in self.batch.sequences() {
            let memory = sequence.memory;
            let sums = &mut sums[..memory.len() * width];
            let dk_sum = &mut dk_sum[..memory.len() * width];
            let dq_sum = &mut dq_sum[..sequence.queries.len() * width];
            dq_sum.fill(E::zero());
            dk_sum.fill(E::zero());
            let dscores = scores[sequence.scores].chunks_exact(memory.len());
            for ((dscores, &row), dq_sum) in dscores.zip(sequence.queries).zip(dq_sum.chunks_exact_mut(width.max(1))) {
                tanh_sums(&q[row * width..][..width], k, memory, sums);
                for (sum, &dscore) in sums.chunks_exact_mut(width.max(1)).zip(dscores) {
                    axpy(dscore, sum, &mut dw_sum);
                    map(sum, |tanh| dscore * (E::one() - tanh * tanh));
                }
                sum_rows_into(sums, dq_sum);
                axpy(E::one(), sums, dk_sum);
            }
            for (i, rows, sum) in [(0, sequence.queries, &*dq_sum), (1, memory, &*dk_sum)] {
                if let Some(dx) = ctx.dx(i) {
                    for (&row, sum) in rows.iter().zip(sum.chunks_exact(width.max(1))) {
                        zip_into(&mut dx[row * width..][..width], sum, w, |dx, sum, w| dx + sum * w);
                    }
                }
            }
        }
        if let Some(dw) = ctx.dx(2) {
            axpy(E::one(), &dw_sum, dw);
        }
        for scratch in [scores, sums, dq_sum, dk_sum, dw_sum] {
            ctx.recycle(scratch);
        }
    }
}

impl GradCheck for AdditiveAttention {
    fn cases() -> Vec<Case> {
        let mut cases = Ragged::cases(
            &[&[7, 3], &[7, 3], &[3], &[7, 2]],
            |x, Ragged { queries, memory }| x[0].additive_attention(x[1], x[2], x[3], queries, memory),
            |x, batch| {
                let (w, width) = (x[2], x[2].shape().len());
                batch.reference([x[0], x[1], x[3]], |q, k| {
                    let (queries, memory) = (q.shape()[0], k.shape()[0]);
                    let sums = q.reshape([queries, 1, width]) + k.reshape([1, memory, width]);
                    (sums.tanh() * w).sum_axis(2)
                })
            },
        );
        let Ragged { queries, memory } = Ragged::example();
        cases.push(Case::new("keys are the values", &[&[7, 3], &[7, 3], &[3]], move |_, x| {
            x[0].additive_attention(x[1], x[2], x[1], &queries, &memory)
        }));
        cases
    }
}

impl<'t> Var<'t> {
    /// The context of each query, `softmax(score) values` with `score = Σ weight tanh(self + key)` over the memory of its
    /// own sequence: `self[Nq, A]`, `keys[Nm, A]`, `weight[A]`, `values[Nm, V]` to `[Nq, V]`. `queries` are the rows of
    /// `self` and `memory` those of `keys` and `values` that belong to each sequence. A query without memory has a
    /// context of zeros.
    #[track_caller]
    pub fn additive_attention(
        self,
        keys: Self,
        weight: Self,
        values: Self,
        queries: &Arc<Segments>,
        memory: &Arc<Segments>,
    ) -> Self {
        let batch = Ragged::new(queries, memory);
        self.graph().apply(AdditiveAttention { batch }, &[self, keys, weight, values])
    }
}
