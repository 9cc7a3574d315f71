//! Cross entropy of two passes with different dropout, which are also compared with each other (R-Drop, Liang et al. 2021,
//! arXiv 2106.14448), in one operation with their output projection, over blocks of rows:
//!
//! ```text
//! p = softmax(h₁ Wᵀ + b)     q = softmax(h₂ Wᵀ + b)
//! L = ½ Σᵢ [ CE(pᵢ) + CE(qᵢ) + α wᵢ Dᵢ ]     D = ½ KL(p‖q) + ½ KL(q‖p) = ½ Σⱼ (pⱼ - qⱼ) rⱼ     r = log p - log q
//! dD/dz₁ = ½ [ p (r - KL(p‖q)) + p - q ]     dD/dz₂ = ½ [ q (-r - KL(q‖p)) + q - p ]
//! ```
//!
//! CE is [`super::cross_entropy`]'s, with its smoothing and weights; w is what a row's target counts there.

use super::cross_entropy::{CrossEntropy, Targets};
use super::output_projection::{Gathered, Projection, block_rows, carry_back, check, last_block};
use crate::{Backward, Case, Forward, GradCheck, Graph, Op, Var};
use descant_kernels::{Real, exp_minus_max_columns, map, vectorized, zip_into};
use descant_tensor::{Shape, Tensor};
use std::ops::Range;

/// The inputs are `h[2N, H]`, the first pass's rows before those of the second, `W[V, H]` and perhaps `b[V]`.
#[derive(Debug)]
pub struct RDropCrossEntropy {
    /// Of the N rows of either pass.
    cross_entropy: CrossEntropy,
    /// α.
    consistency: f64,
}

/// What a block of `n` rows is worked out in: `[V, n]` each but the last, `[8n]`.
struct Block<'a, E> {
    p: &'a mut [E],
    q: &'a mut [E],
    /// First the difference of the logits, then r.
    ratio: &'a mut [E],
    columns: &'a mut [E],
}

impl<E: Real> Block<'_, E> {
    /// Σ wᵢ Dᵢ by the logits of both passes; leaves their gradients in `p` and `q`, times `weights`.
    fn divergence(&mut self, weights: &[f64], first: &[E], second: &[E]) -> f64 {
        let Self { p, q, ratio, columns } = self;
        let n = weights.len();
        columns.fill(E::zero());
        let mut columns = columns.chunks_exact_mut(n);
        let mut column = || columns.next().expect("eight columns");
        let [largest_p, total_p, largest_q, total_q, shift, forth, back, weight] = std::array::from_fn(|_| column());

        p.copy_from_slice(first);
        q.copy_from_slice(second);
        ratio.copy_from_slice(first);
        zip_into(ratio, second, second, |ratio, second, _| ratio - second);
        exp_minus_max_columns(p, largest_p, total_p);
        exp_minus_max_columns(q, largest_q, total_q);
        for (i, &w) in weights.iter().enumerate() {
            shift[i] = largest_p[i] + total_p[i].ln() - largest_q[i] - total_q[i].ln();
            weight[i] = E::of(0.5 * w);
        }
        map(total_p, |total| E::one() / total);
        map(total_q, |total| E::one() / total);
        for ((p, q), r) in p.chunks_exact_mut(n).zip(q.chunks_exact_mut(n)).zip(ratio.chunks_exact_mut(n)) {
            zip_into(p, total_p, total_p, |p, factor, _| p * factor);
            zip_into(q, total_q, total_q, |q, factor, _| q * factor);
            zip_into(r, shift, shift, |r, shift, _| r - shift);
            zip_into(forth, p, r, |sum, p, r| sum + p * r);
            zip_into(back, q, r, |sum, q, r| sum - q * r);
        }
        let mut divergence = 0.0;
        for (i, &w) in weights.iter().enumerate().filter(|(_, w)| **w != 0.0) {
            divergence += 0.5 * w * (forth[i].f64() + back[i].f64());
        }
        for ((p, q), r) in p.chunks_exact_mut(n).zip(q.chunks_exact_mut(n)).zip(ratio.chunks_exact(n)) {
            vectorized(
                #[inline(always)]
                || {
                    for (i, ((p, q), &r)) in p.iter_mut().zip(&mut *q).zip(r).take(n).enumerate() {
                        let apart = *p - *q;
                        *p = weight[i] * (*p * (r - forth[i]) + apart);
                        *q = weight[i] * (-*q * (r + back[i]) - apart);
                    }
                },
            );
        }
        divergence
    }
}

impl RDropCrossEntropy {
    /// The last block of the second pass, of `rows` rows in each.
    fn last_block(&self, rows: usize) -> Range<usize> {
        let last = last_block(rows, self.cross_entropy.block);
        rows + last.start..rows + last.end
    }
}

impl Op for RDropCrossEntropy {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        check(inputs)?;
        let rows = inputs[0][0];
        if !rows.is_multiple_of(2) {
            return Err(format!("{rows} rows are not two passes"));
        }
        if !(self.consistency >= 0.0 && self.consistency.is_finite()) {
            return Err(format!("the weight of consistency is {}, not a number from 0", self.consistency));
        }
        if self.cross_entropy.targets.soft_cap.is_some() {
            return Err("two passes are compared without a soft cap".to_owned());
        }
        self.cross_entropy.check(rows / 2, inputs[1][0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let projection = Projection::new(ctx, 0, ctx.inputs() > 2);
        let (rows, classes, wanted) = (ctx.shape(0)[0] / 2, ctx.shape(1)[0], ctx.needs_gradient());
        let CrossEntropy { targets, block } = &self.cross_entropy;
        let most = (*block).min(rows);
        let mut logits = [(); 2].map(|()| ctx.scratch(most * classes));
        let mut probabilities = [(); 3].map(|()| ctx.scratch(most * classes));
        let mut columns = ctx.scratch(8 * most);
        let last = self.last_block(rows);
        let mut gathered = Gathered::new(ctx, &projection, &last);
        let half = E::of(0.5);
        let scale = E::of(0.5 * self.consistency);
        let mut loss = 0.0;
        for (i, ids) in targets.ids.chunks(*block).enumerate() {
            let (start, n) = (i * block, ids.len());
            let weights: Vec<f64> = (start..start + n).map(|row| targets.row_weight(row)).collect();
            let [first, second] = logits.each_mut().map(|logits| &mut logits[..classes * n]);
            projection.logits(start, n, E::one(), first);
            projection.logits(rows + start, n, E::one(), second);
            let [p, q, ratio] = probabilities.each_mut().map(|values| &mut values[..classes * n]);
            let mut block = Block { p, q, ratio, columns: &mut columns[..8 * n] };
            loss += self.consistency * block.divergence(&weights, first, second);
            let Block { p, q, columns, .. } = block;
            for (start, logits, apart) in [(start, first, p), (rows + start, second, q)] {
                // The targets are those of the first pass.
                loss += self.cross_entropy.block(start % rows, ids, logits, &mut columns[..5 * n]);
                if wanted {
                    zip_into(logits, apart, apart, |dz, apart, _| half * dz + scale * apart);
                }
                if wanted && start != last.start {
                    gathered.add(&projection, start, n, logits);
                }
            }
        }
        ctx.output()[0] = E::of(0.5 * loss);
        let [first, second] = logits;
        probabilities.into_iter().chain([first, columns]).for_each(|scratch| ctx.recycle(scratch));
        gathered.save(ctx, second);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        carry_back(ctx, self.last_block(ctx.shape(0)[0] / 2), ctx.inputs() > 2);
    }
}

impl GradCheck for RDropCrossEntropy {
    fn cases() -> Vec<Case> {
        const IDS: [u32; 4] = [0, 4, Targets::IGNORED, 2];
        const ALPHA: f64 = 1.5;
        const CLASS_WEIGHTS: [f64; 5] = [0.5, 1.0, 2.0, 1.5, 0.25];
        let shapes: &[&[usize]] = &[&[8, 3], &[5, 3], &[5]];
        let case = |name, shapes, smoothing, class_weights: Option<[f64; 5]>, block| {
            let row_weights = class_weights.map(|_| [2.0, 0.5, 1.0, 3.0].into());
            let class_weights = class_weights.map(|w| w.to_vec().into());
            let targets = Targets { smoothing, class_weights, row_weights, z_loss: 0.1, ..Targets::new(IDS) };
            let meant = targets.clone();
            let own =
                Case::new(name, shapes, move |_, x| x[0].consistent(x[1], x.get(2).copied(), &targets, ALPHA, block));
            own.reference(move |graph, x| {
                let passes = [[0, 1, 2, 3], [4, 5, 6, 7]].map(|rows| x[0].gather(&rows.into()));
                let log_p = passes.map(|h| match x.get(2) {
                    Some(&b) => (h.matmul_t(x[1]) + b).log_softmax(),
                    None => h.matmul_t(x[1]).log_softmax(),
                });
                let weights = [0, 1, 2, 3].map(|row| meant.row_weight(row));
                let weights = graph.constant(&Tensor::new([4, 1], &weights).expect("four"));
                let apart = (log_p[0].exp() - log_p[1].exp()) * (log_p[0] - log_p[1]);
                let [first, second] = passes.map(|h| h.cross_entropy(x[1], x.get(2).copied(), &meant));
                (first + second + (apart * weights).sum().scale(0.5 * ALPHA)).scale(0.5)
            })
        };
        vec![
            case("without bias", &shapes[..2], 0.0, None, 64),
            case("with bias", shapes, 0.0, None, 64),
            case("smoothed", shapes, 0.1, None, 64),
            case("smoothed and weighted", shapes, 0.2, Some(CLASS_WEIGHTS), 64),
            case("several blocks", shapes, 0.1, None, 3),
        ]
    }
}

impl<'t> Var<'t> {
    /// The mean of two passes' [`Var::cross_entropy`], and how far the two are apart (the mean of the divergences either
    /// way), half of it times `consistency`, summed over the rows; a scalar. `self[2N, H]`, the first pass's rows before
    /// those of the second, `weight[V, H]`, `bias[V]`, `targets` of the N rows of either.
    #[track_caller]
    pub fn r_drop_cross_entropy(self, weight: Self, bias: Option<Self>, targets: &Targets, consistency: f64) -> Self {
        self.consistent(weight, bias, targets, consistency, block_rows(weight.shape().rows()))
    }

    #[track_caller]
    fn consistent(self, weight: Self, bias: Option<Self>, targets: &Targets, consistency: f64, block: usize) -> Self {
        let graph: Graph<'t> = self.graph();
        let inputs: Vec<Self> = [Some(self), Some(weight), bias].into_iter().flatten().collect();
        let cross_entropy = CrossEntropy { targets: targets.clone(), block };
        graph.apply(RDropCrossEntropy { cross_entropy, consistency }, &inputs)
    }
}
