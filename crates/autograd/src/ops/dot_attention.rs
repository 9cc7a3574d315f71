//! Multiplicative attention over a ragged batch (Luong et al. 2015, arXiv 1508.04025), for each sequence
//!
//! ```text
//! context = softmax(α q kᵀ) v
//! ```
//!
//! Their "general" score is a linear layer on the queries before it, the score of Transformers has α = 1/√D.

use crate::attention_weights::weights;
use crate::ragged_attention::{Ragged, Rows};
use crate::{Backward, Case, Forward, GradCheck, Op, Segments, Var};
use descant_kernels::{Mat, MatMut, Real, gemm, zip_sum};
use descant_tensor::Shape;
use std::sync::Arc;

/// Inputs `q[Nq, D]`, `k[Nm, D]` and `v[Nm, V]`; output `[Nq, V]`, zero for queries that have no memory.
#[derive(Debug)]
pub struct DotAttention {
    batch: Ragged,
    scale: f64,
}

impl DotAttention {
    /// The weights of queries of this shape and of keys.
    pub(crate) fn weights<E: Real>(&self, (q, shape): (&[E], Shape), k: &[E]) -> Vec<Vec<f64>> {
        let (queries, width) = (shape.rows(), shape.last());
        weights(queries, (&self.batch.queries, &self.batch.memory), 1, |_, query, memory, scores| {
            let q = &q[query * width..][..width];
            for (score, key) in scores.iter_mut().zip(memory) {
                *score = self.scale * zip_sum(q, &k[key * width..][..width], |q, k| q * k).f64();
            }
        })
    }

    /// The queries of each sequence.
    pub(crate) fn queries(&self) -> &Segments {
        &self.batch.queries
    }
}

impl Op for DotAttention {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.batch.shape(inputs[0], inputs[1], inputs[2])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (q, k, width, config) = (ctx.input(0), ctx.input(1), ctx.shape(0)[1], ctx.gemm_config());
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
