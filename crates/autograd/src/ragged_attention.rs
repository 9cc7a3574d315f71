//! What the kinds of attention share: which queries look at which memory, and the way from scores to contexts,
//!
//! ```text
//! p = softmax(scores)      context = p v
//! ```
//!
//! for each sequence of a ragged batch. The kinds differ in how they compute the scores.

use crate::{Backward, Case, Forward, PackedSequences, Segments, Var};
use descant_kernels::{GemmConfig, Mat, MatMut, Real, axpy, gemm, softmax_rows};
use descant_tensor::{Shape, Tensor};
use std::ops::Range;
use std::sync::Arc;

/// The queries of each sequence look at its memory, and at no other's.
#[derive(Clone, Debug)]
pub(crate) struct Ragged {
    pub(crate) queries: Arc<Segments>,
    pub(crate) memory: Arc<Segments>,
}

/// One sequence that has queries and memory.
pub(crate) struct Sequence<'a> {
    /// Its rows of the queries and of the contexts.
    pub(crate) queries: &'a [usize],
    /// Its rows of the keys and of the values.
    pub(crate) memory: &'a [usize],
    /// Its scores or weights, one row for each query, among those of all sequences.
    pub(crate) scores: Range<usize>,
}

impl Ragged {
    pub(crate) fn new(queries: &Arc<Segments>, memory: &Arc<Segments>) -> Self {
        Self { queries: queries.clone(), memory: memory.clone() }
    }

    /// The shape of the contexts, of `q[Nq, D]`, `k[Nm, D]` and `v[Nm, V]`.
    pub(crate) fn shape(&self, q: Shape, k: Shape, v: Shape) -> Result<Shape, String> {
        if q.rank() != 2 || k.rank() != 2 || v.rank() != 2 || q[1] != k[1] || k[0] != v[0] {
            return Err("expected queries[Nq, D], keys[Nm, D] and values[Nm, V]".to_owned());
        }
        let (queries, memory) = (self.queries.len(), self.memory.len());
        if queries != memory {
            return Err(format!("queries of {queries} sequences, memory of {memory}"));
        }
        for (what, segments, rows) in [("queries", &self.queries, q[0]), ("memory", &self.memory, k[0])] {
            if segments.bound() > rows {
                return Err(format!("the {what} reach to row {} of {rows}", segments.bound() - 1));
            }
        }
        Ok(Shape::from([q[0], v[1]]))
    }

    /// The sequences; those without queries or without memory are left out.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = Sequence<'_>> {
        let mut end = 0;
        (0..self.queries.len())
            .map(move |i| {
                let (queries, memory) = (self.queries.rows(i), self.memory.rows(i));
                let start = end;
                end += queries.len() * memory.len();
                Sequence { queries, memory, scores: start..end }
            })
            .filter(|sequence| !sequence.scores.is_empty())
    }

    /// How many scores there are in all.
    pub(crate) fn scores(&self) -> usize {
        self.sequences().last().map_or(0, |sequence| sequence.scores.end)
    }

    /// The most queries, and the most memory, of one sequence.
    pub(crate) fn longest(&self) -> (usize, usize) {
        self.sequences().fold((0, 0), |(q, m), sequence| (q.max(sequence.queries.len()), m.max(sequence.memory.len())))
    }

    /// For the gradient check, with seven rows of queries and of memory: the second sequence has no memory, the fourth
    /// no queries, and some rows belong to none.
    pub(crate) fn example() -> Self {
        let packed = |lengths: &[usize]| Arc::new(PackedSequences::new(lengths).segments());
        Self::new(&packed(&[2, 1, 3, 0]), &packed(&[3, 0, 1, 2]))
    }

    /// The cases of the gradient check of a kind of attention, for inputs of these widths: on every example, against the score
    /// by primitive operations.
    pub(crate) fn cases(
        inputs: &[&[usize]],
        attention: impl for<'t> Fn(&[Var<'t>], &Self) -> Var<'t> + Copy + 'static,
        reference: impl for<'t> Fn(&[Var<'t>], &Self) -> Var<'t> + Copy + 'static,
    ) -> Vec<Case> {
        let case = |(name, batch): (_, Self)| {
            let other = batch.clone();
            Case::new(name, inputs, move |_, x| attention(x, &batch)).reference(move |_, x| reference(x, &other))
        };
        Self::examples().into_iter().map(case).collect()
    }

    /// More of them.
    fn examples() -> Vec<(&'static str, Self)> {
        let packed = |lengths: &[usize]| Arc::new(PackedSequences::new(lengths).segments());
        // As the hypotheses of a beam do, two queries look at the same memory.
        let mut shared = Segments::default();
        [&[0, 3, 1][..], &[0, 3, 1], &[6, 2]].into_iter().for_each(|rows| shared.push(rows.iter().copied()));
        vec![
            ("ragged", Self::example()),
            ("equal lengths", Self::new(&packed(&[2, 2, 2]), &packed(&[2, 2, 2]))),
            ("one row", Self::new(&packed(&[1]), &packed(&[1]))),
            ("single queries, shared memory", Self::new(&packed(&[1, 1, 1]), &Arc::new(shared))),
        ]
    }

    /// The contexts from primitive operations, sequence by sequence: the reference of the fused operations.
    pub(crate) fn reference<'t>(
        &self,
        [q, k, v]: [Var<'t>; 3],
        score: impl Fn(Var<'t>, Var<'t>) -> Var<'t>,
    ) -> Var<'t> {
        let graph = q.graph();
        let rows = |x: Var<'t>, rows: &[usize]| {
            graph.concat(&rows.iter().map(|&row| x.slice(row, row + 1)).collect::<Vec<_>>())
        };
        let zero = graph.constant(&Tensor::zeros(graph.dtype(), [1, v.shape()[1]]));
        let mut contexts = vec![zero; q.shape()[0]];
        for Sequence { queries, memory, .. } in self.sequences() {
            let weights = score(rows(q, queries), rows(k, memory)).softmax();
            let context = weights.matmul(rows(v, memory));
            queries.iter().enumerate().for_each(|(i, &row)| contexts[row] = context.slice(i, i + 1));
        }
        graph.concat(&contexts)
    }

    /// Writes the contexts from the scores, which become the weights. Input `values` is `v`.
    pub(crate) fn contexts<E: Real>(&self, ctx: &mut Forward<'_, E>, values: usize, scores: &mut [E]) {
        let (v, width, config) = (ctx.input(values), ctx.shape(values)[1], ctx.gemm_config());
        let (queries, memory) = self.longest();
        let (mut copy_v, mut copy_y) = (ctx.scratch(memory * width), ctx.scratch(queries * width));
        let y = ctx.output();
        // Where there is nothing to attend to, the context is zero.
        y.fill(E::zero());
        for Sequence { queries, memory, scores: range } in self.sequences() {
            let weights = &mut scores[range];
            softmax_rows(weights, memory.len());
            let weights = Mat::new(weights, queries.len(), memory.len());
            let v = Rows { rows: memory, width }.gather(v, &mut copy_v);
            Rows { rows: queries, width }.add_product(E::one(), weights, v, y, &mut copy_y, config);
        }
        ctx.recycle(copy_v);
        ctx.recycle(copy_y);
    }

    /// Carries the gradient of the contexts back to the values and, through the softmax, to the scores: the weights
    /// become the gradients of the scores.
    pub(crate) fn contexts_backward<E: Real>(&self, ctx: &mut Backward<'_, E>, values: usize, weights: &mut [E]) {
        let (v, width, config) = (ctx.input(values), ctx.shape(values)[1], ctx.gemm_config());
        let (queries, memory) = self.longest();
        let (mut copy_v, mut copy_dy) = (ctx.scratch(memory * width), ctx.scratch(queries * width));
        let (mut dweights, mut transposed) = (ctx.scratch(queries * memory), ctx.scratch(memory * width));
        let dy = ctx.dy();
        for Sequence { queries, memory, scores } in self.sequences() {
            let weights = &mut weights[scores];
            let dy = Rows { rows: queries, width }.gather(dy, &mut copy_dy);
            let memory_rows = Rows { rows: memory, width };
            let dweights = &mut dweights[..weights.len()];
            let into = MatMut::new(dweights, queries.len(), memory.len());
            let v_t = memory_rows.gather(v, &mut copy_v).transposed_for_gemm(queries.len(), &mut transposed);
            gemm(E::one(), dy, v_t, E::zero(), into, config);
            if let Some(dv) = ctx.dx(values) {
                let weights = Mat::new(weights, queries.len(), memory.len());
                memory_rows.add_product(E::one(), weights.t(), dy, dv, &mut copy_v, config);
            }
            for (p, dp) in weights.chunks_exact_mut(memory.len()).zip(dweights.chunks_exact(memory.len())) {
                let mean: E = p.iter().zip(dp).map(|(&p, &dp)| p * dp).sum();
                p.iter_mut().zip(dp).for_each(|(p, &dp)| *p *= dp - mean);
            }
        }
        [copy_v, copy_dy, dweights, transposed].into_iter().for_each(|scratch| ctx.recycle(scratch));
    }
}

/// Some rows of matrices of this width.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) rows: &'a [usize],
    pub(crate) width: usize,
}

impl Rows<'_> {
    /// These rows of `x` as one matrix: in place where they lie at equal distances, otherwise copied to `copy`.
    pub(crate) fn gather<'x, E: Real>(self, x: &'x [E], copy: &'x mut [E]) -> Mat<'x, E> {
        let Self { rows, width } = self;
        if let Some(distance) = distance(rows) {
            return Mat::strided(&x[rows[0] * width..], rows.len(), width, distance * width);
        }
        let copy = &mut copy[..rows.len() * width];
        for (y, &row) in copy.chunks_exact_mut(width.max(1)).zip(rows) {
            y.copy_from_slice(&x[row * width..][..width]);
        }
        Mat::new(copy, rows.len(), width)
    }

    /// Adds `alpha a b` to these rows of `y`, by way of `copy` where they do not lie at equal distances.
    pub(crate) fn add_product<E: Real>(
        self,
        alpha: E,
        a: Mat<'_, E>,
        b: Mat<'_, E>,
        y: &mut [E],
        copy: &mut [E],
        config: GemmConfig,
    ) {
        let Self { rows, width } = self;
        if let Some(distance) = distance(rows) {
            let y = MatMut::strided(&mut y[rows[0] * width..], rows.len(), width, distance * width);
            return gemm(alpha, a, b, E::one(), y, config);
        }
        let copy = &mut copy[..rows.len() * width];
        gemm(alpha, a, b, E::zero(), MatMut::new(copy, rows.len(), width), config);
        for (x, &row) in copy.chunks_exact(width.max(1)).zip(rows) {
            axpy(E::one(), x, &mut y[row * width..][..width]);
        }
    }
}

/// How many rows lie between one of these and the next, where it is the same for all.
fn distance(rows: &[usize]) -> Option<usize> {
    let distance = match rows {
        [first, second, ..] => second.checked_sub(*first).filter(|&distance| distance > 0)?,
        _ => 1,
    };
    rows.windows(2).all(|pair| pair[0] + distance == pair[1]).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_gathered_and_added_to_whatever_their_order() {
        let x: Vec<f64> = (0..14).map(f64::from).collect();
        for rows in [&[4][..], &[1, 2, 3], &[0, 3, 6], &[0, 3, 5], &[5, 3, 1], &[2, 2]] {
            let (mut copy, mut product, mut y) = ([0.0; 6], [0.0; 6], [1.0; 14]);
            let gathered = Rows { rows, width: 2 }.gather(&x, &mut copy);
            let identity: Vec<f64> = (0..rows.len().pow(2)).map(|i| f64::from(i % (rows.len() + 1) == 0)).collect();
            let identity = Mat::new(&identity, rows.len(), rows.len());
            Rows { rows, width: 2 }.add_product(2.0, identity, gathered, &mut y, &mut product, GemmConfig::default());
            let mut expected = [1.0; 14];
            for &row in rows {
                (0..2).for_each(|column| expected[2 * row + column] += 2.0 * x[2 * row + column]);
            }
            assert_eq!(y, expected, "{rows:?}");
        }
    }

    #[test]
    fn segments_that_do_not_fit_are_refused() {
        let joined = |lengths: &[usize]| Arc::new(Segments::joined(lengths));
        let shape = |queries: &[usize], memory: &[usize], v: [usize; 2]| {
            Ragged::new(&joined(queries), &joined(memory)).shape(Shape::from([3, 2]), Shape::from([4, 2]), v.into())
        };
        assert_eq!(shape(&[1, 2], &[2, 2], [4, 5]), Ok(Shape::from([3, 5])));
        assert!(shape(&[1, 2], &[4], [4, 5]).is_err_and(|reason| reason.contains("2 sequences, memory of 1")));
        assert!(shape(&[4], &[4], [4, 5]).is_err_and(|reason| reason.contains("queries reach to row 3 of 3")));
        assert!(shape(&[3], &[5], [4, 5]).is_err_and(|reason| reason.contains("memory reach to row 4 of 4")));
        assert!(shape(&[3], &[4], [3, 5]).is_err_and(|reason| reason.contains("expected")));
    }
}
