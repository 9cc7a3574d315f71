//! Output projection, softmax and cross entropy in one operation, over blocks of rows so that the logits of all tokens
//! never exist at once:
//!
//! ```text
//! z = h Wᵀ + b      L = Σᵢ wₜ [ -(1 - ε) log softmax(z)ₜ - ε/V Σⱼ log softmax(z)ⱼ ]      t = targetᵢ
//! ```
//!
//! with label smoothing ε (Szegedy et al. 2016, arXiv 1512.00567) as PyTorch defines it. A z-loss adds `wₜ λ (log Σⱼ exp zⱼ)²`, which keeps
//! logits near zero (de Brébisson and Vincent 2016, arXiv 1604.08859); the focal loss multiplies the likelihood of a target by `(1 - p)^γ`, so that those
//! which are known hardly count (Lin et al. 2017, arXiv 1708.02002). With weights of rows, all that a row adds is multiplied by its weight. The gradient with respect to z
//! is at hand as soon as the softmax is, so forward already carries it through the projection, for all blocks but the
//! last, and backward scales it by the loss's own gradient.

use super::output_projection::{Gathered, Projection, block_rows, carry_back, check, last_block};
use super::soft_cap::soft_cap;
pub use super::unlikelihood::Unlikelihood;
use crate::{Backward, Case, Forward, GradCheck, Graph, Op, Segments, Var};
use descant_kernels::{Real, axpy, exp_minus_max_columns, zip_into};
use descant_tensor::Shape;
use std::sync::Arc;

/// What the cross entropy is taken against.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// The right id of each row; rows with [`Targets::IGNORED`] do not count.
    pub ids: Arc<[u32]>,
    /// Label smoothing ε, from 0 to below 1.
    pub smoothing: f64,
    /// A weight for each class, or none for ones.
    pub class_weights: Option<Arc<[f64]>>,
    /// A weight for each row, beside that of its class; or none for ones.
    pub row_weights: Option<Arc<[f32]>>,
    /// The weight λ of the z-loss.
    pub z_loss: f64,
    /// The exponent γ of the focal loss; 0 for plain cross entropy. Not for use with label smoothing.
    pub focal: f64,
    /// What else is to be unlikely at each row.
    pub unlikelihood: Option<Unlikelihood>,
    /// The limit `c` that logits `z` come near and never reach, `c tanh(z / c)`.
    pub soft_cap: Option<f64>,
}

impl Targets {
    /// The id of rows that do not count.
    pub const IGNORED: u32 = u32::MAX;

    /// Plain targets: no smoothing, no weights.
    pub fn new(ids: impl Into<Arc<[u32]>>) -> Self {
        Self { ids: ids.into(), ..Self::default() }
    }

    /// What PyTorch divides a mean by: the sum of the weights of the targets that count.
    pub fn weight(&self) -> f64 {
        (0..self.ids.len()).map(|row| self.row_weight(row)).sum()
    }

    /// What a row counts.
    pub(super) fn row_weight(&self, row: usize) -> f64 {
        let id = self.ids[row];
        if id == Self::IGNORED { 0.0 } else { self.own_weight(row) * self.class_weight(id) }
    }

    /// What a row counts beside its class.
    fn own_weight(&self, row: usize) -> f64 {
        self.row_weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]))
    }

    fn class_weight(&self, id: u32) -> f64 {
        self.class_weights.as_ref().map_or(1.0, |weights| weights[id as usize])
    }
}

/// The summed cross entropy of `h[N, H]` projected by `W[V, H]` and perhaps `b[V]`.
#[derive(Debug)]
pub struct CrossEntropy {
    pub(super) targets: Targets,
    /// Rows whose logits exist at once.
    pub(super) block: usize,
}

impl CrossEntropy {
    /// The loss of a block of tokens from the row `first` on, whose logits `[V, n]` become their gradients. `columns[5n]` is scratch.
    pub(super) fn block<E: Real>(&self, first: usize, ids: &[u32], logits: &mut [E], columns: &mut [E]) -> f64 {
        let n = ids.len();
        let each = self.targets.smoothing / (logits.len() / n) as f64;
        let own = |id: u32| self.targets.class_weight(id) * (1.0 - self.targets.smoothing);
        let counted = || ids.iter().enumerate().filter(|&(_, &id)| id != Targets::IGNORED).map(|(i, &id)| (i, id));
        columns.fill(E::zero());
        let (target, rest) = columns.split_at_mut(n);
        let (weighted, rest) = rest.split_at_mut(n);
        let (smoothed, rest) = rest.split_at_mut(n);
        let (largest, total) = rest.split_at_mut(n);

        counted().for_each(|(i, id)| target[i] = logits[id as usize * n + i]);
        let mut total_weight = 0.0;
        if each > 0.0 {
            for (row, class) in logits.chunks_exact(n).zip(0..) {
                let weight = self.targets.class_weight(class);
                total_weight += weight;
                axpy(E::of(weight), row, weighted);
            }
        }
        exp_minus_max_columns(logits, largest, total);
        let mut loss = 0.0;
        // Rows, ids, and what unlikelihood adds to the gradients of their logits.
        let (mut raised, mut slopes) = (Vec::new(), Vec::new());
        let factor = total;
        for (i, &id) in ids.iter().enumerate() {
            if id == Targets::IGNORED {
                factor[i] = E::zero();
                continue;
            }
            let log_sum = largest[i].f64() + factor[i].f64().ln();
            let (negative_log, z_loss) =
                (log_sum - target[i].f64(), self.targets.z_loss * self.targets.class_weight(id));
            let [value, slope] = focal(self.targets.focal, negative_log);
            let row = self.targets.own_weight(first + i);
            let smooth = each * (total_weight * log_sum - weighted[i].f64());
            loss += row * (own(id) * value + smooth + z_loss * log_sum * log_sum);
            let of_target = own(id) * slope;
            let mut of_all = row * (of_target + each * total_weight + 2.0 * z_loss * log_sum);
            if let Some(unlikelihood) = &self.targets.unlikelihood {
                let (weight, total) = (row * self.targets.class_weight(id), factor[i].f64());
                let p = |id: u32| logits[id as usize * n + i].f64() / total;
                loss += weight * unlikelihood.of_row(first + i, id, p, &mut slopes);
                for (id, slope) in slopes.drain(..) {
                    of_all -= weight * slope;
                    raised.push((i, id, weight * slope));
                }
            }
            factor[i] = E::of(of_all / factor[i].f64());
            smoothed[i] = E::of(row * each);
            target[i] = E::of(row * of_target);
        }
        for (row, class) in logits.chunks_exact_mut(n).zip(0..) {
            let weight = E::of(self.targets.class_weight(class));
            zip_into(row, factor, smoothed, |p, factor, smoothed| p * factor - weight * smoothed);
        }
        counted().for_each(|(i, id)| logits[id as usize * n + i] -= target[i]);
        raised.into_iter().for_each(|(i, id, slope)| logits[id as usize * n + i] += E::of(slope));
        loss
    }

    /// That the targets are those of `rows` rows over `classes` classes.
    pub(super) fn check(&self, rows: usize, classes: usize) -> Result<Shape, String> {
        if self.targets.ids.len() != rows {
            return Err(format!("{} targets for {rows} rows", self.targets.ids.len()));
        }
        if self.targets.class_weights.as_ref().is_some_and(|weights| weights.len() != classes) {
            return Err(format!("the class weights are not {classes}"));
        }
        if let Some(weights) = &self.targets.row_weights
            && (weights.len() != rows || weights.iter().any(|weight| !(*weight >= 0.0 && weight.is_finite())))
        {
            return Err(format!("the weights of rows are not {rows} numbers from 0"));
        }
        if !(0.0..1.0).contains(&self.targets.smoothing) {
            return Err(format!("label smoothing is {}, not from 0 to below 1", self.targets.smoothing));
        }
        for (name, value) in [("z-loss", self.targets.z_loss), ("focal loss", self.targets.focal)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(format!("the {name}'s factor is {value}, not from 0"));
            }
        }
        if let Some(unlikelihood) = &self.targets.unlikelihood {
            unlikelihood.check(rows)?;
        }
        if let Some(cap) = self.targets.soft_cap.filter(|cap| !(*cap > 0.0 && cap.is_finite())) {
            return Err(format!("the soft cap is {cap}, not above 0"));
        }
        match self.targets.ids.iter().find(|&&id| id != Targets::IGNORED && id as usize >= classes) {
            Some(id) => Err(format!("target {id} is outside {classes} classes")),
            None => Ok(Shape::default()),
        }
    }
}

/// Of a target with this negative log-likelihood, the focal loss with exponent γ, and what its derivative is times that of the negative
/// log-likelihood.
fn focal(gamma: f64, negative_log: f64) -> [f64; 2] {
    if gamma == 0.0 {
        return [negative_log, 1.0];
    }
    let (p, missing) = ((-negative_log).exp(), -(-negative_log).exp_m1());
    match missing > 0.0 {
        true => {
            let power = missing.powf(gamma);
            [power * negative_log, power + gamma * power / missing * p * negative_log]
        }
        // Certain, to the last digit.
        false => [0.0, 0.0],
    }
}

impl Op for CrossEntropy {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        check(inputs)?;
        self.check(inputs[0][0], inputs[1][0])
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let projection = Projection::new(ctx, 0, ctx.inputs() > 2);
        let (rows, classes, wanted) = (ctx.shape(0)[0], ctx.shape(1)[0], ctx.needs_gradient());
        let most = self.block.min(rows);
        let mut logits = ctx.scratch(most * classes);
        let mut columns = ctx.scratch(5 * most);
        let cap = self.targets.soft_cap;
        let mut slopes = ctx.scratch(if cap.is_some() { most * classes } else { 0 });
        let last = last_block(rows, self.block);
        let mut gathered = Gathered::new(ctx, &projection, &last);
        let mut loss = 0.0;
        for (i, ids) in self.targets.ids.chunks(self.block).enumerate() {
            let (start, n) = (i * self.block, ids.len());
            let logits = &mut logits[..classes * n];
            projection.logits(start, n, E::one(), logits);
            if let Some(cap) = cap {
                soft_cap(cap, logits, &mut slopes[..classes * n]);
            }
            loss += self.block(start, ids, logits, &mut columns[..5 * n]);
            if cap.is_some() {
                let slopes = &slopes[..classes * n];
                zip_into(logits, slopes, slopes, |dz, slope, _| dz * slope);
            }
            if wanted && start < last.start {
                gathered.add(&projection, start, n, logits);
            }
        }
        ctx.output()[0] = E::of(loss);
        [columns, slopes].into_iter().for_each(|scratch| ctx.recycle(scratch));
        gathered.save(ctx, logits);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let last = last_block(self.targets.ids.len(), self.block);
        carry_back(ctx, last, ctx.inputs() > 2);
    }
}

impl GradCheck for CrossEntropy {
    fn cases() -> Vec<Case> {
        let shapes: &[&[usize]] = &[&[4, 3], &[5, 3], &[5]];
        let ids = [0, 4, Targets::IGNORED, 2];
        let weights = || Some(Arc::from([0.5, 1.0, 2.0, 1.5, 0.25]));
        let unlikely = |weight, ids: &[u32], segments: &Segments| {
            Unlikelihood::new(weight, segments, |row| Some(ids[row]).filter(|&id| id != Targets::IGNORED))
        };
        let targets = move |smoothing, class_weights| Targets { smoothing, class_weights, ..Targets::new(ids) };
        vec![
            Case::new("without bias", &[&[4, 3], &[5, 3]], move |_, x| {
                x[0].cross_entropy(x[1], None, &targets(0.0, None))
            }),
            Case::new("with bias", shapes, move |_, x| x[0].cross_entropy(x[1], Some(x[2]), &targets(0.0, None))),
            Case::new("smoothed", shapes, move |_, x| x[0].cross_entropy(x[1], Some(x[2]), &targets(0.1, None))),
            Case::new("weighted", shapes, move |_, x| x[0].cross_entropy(x[1], Some(x[2]), &targets(0.0, weights()))),
            Case::new("smoothed and weighted", shapes, move |_, x| {
                x[0].cross_entropy(x[1], Some(x[2]), &targets(0.2, weights()))
            }),
            Case::new("with weights of rows in several blocks", &[&[5, 2], &[3, 2]], |graph, x| {
                let row_weights = Some(Arc::from([0.5, 2.0, 0.0, 1.0, 3.0]));
                let targets = Targets { row_weights, smoothing: 0.3, z_loss: 0.2, ..Targets::new([2, 0, 1, 1, 0]) };
                graph.apply(CrossEntropy { targets, block: 2 }, &[x[0], x[1]])
            })
            .reference(|_, x| {
                let logits = x[0].matmul_t(x[1]);
                let (log_p, ids) = (logits.log_softmax(), Arc::from([2, 0, 1, 1, 0]));
                let losses = |row: usize, weight: f64| {
                    let (log_p, own) = (log_p.slice(row, row + 1), log_p.gather_last(&ids).slice(row, row + 1));
                    let log_sum = logits.gather_last(&ids).slice(row, row + 1) - own;
                    let likelihood = own.sum().scale(0.7) + log_p.sum().scale(0.1);
                    ((log_sum * log_sum).sum().scale(0.2) - likelihood).scale(weight)
                };
                losses(0, 0.5) + losses(1, 2.0) + losses(3, 1.0) + losses(4, 3.0)
            }),
            Case::new("unlikelihood with weights of rows", shapes, move |_, x| {
                let unlikelihood = Some(unlikely(0.4, &ids, &Segments::joined(&[4])));
                let row_weights = Some(Arc::from([0.5, 2.0, 1.0, 3.0]));
                let targets = Targets { unlikelihood, row_weights, ..targets(0.1, weights()) };
                x[0].cross_entropy(x[1], Some(x[2]), &targets)
            }),
            Case::new("with a z-loss", shapes, move |_, x| {
                let targets = Targets { z_loss: 0.3, ..targets(0.1, weights()) };
                x[0].cross_entropy(x[1], Some(x[2]), &targets)
            }),
            Case::new("a focal loss", shapes, move |_, x| {
                let targets = Targets { focal: 0.5, ..targets(0.0, weights()) };
                x[0].cross_entropy(x[1], Some(x[2]), &targets)
            }),
            Case::new("a focal loss with a z-loss in several blocks", &[&[5, 2], &[3, 2]], |graph, x| {
                let targets = Targets { focal: 2.0, z_loss: 0.2, ..Targets::new([2, 0, 1, 1, 0]) };
                graph.apply(CrossEntropy { targets, block: 2 }, &[x[0], x[1]])
            })
            .reference(|_, x| {
                let ids: Arc<[u32]> = Arc::from([2, 0, 1, 1, 0]);
                let logits = x[0].matmul_t(x[1]);
                let log_p = logits.log_softmax().gather_last(&ids);
                let (log_sum, missing) = (logits.gather_last(&ids) - log_p, log_p.exp().scale(-1.0) + 1.0);
                (log_sum * log_sum).sum().scale(0.2) - (missing * missing * log_p).sum()
            }),
            Case::new("unlikelihood in several blocks", &[&[5, 2], &[4, 2]], move |graph, x| {
                let ids = [2, 1, Targets::IGNORED, 3, 2];
                let mut targets = Targets::new(ids);
                // Rows of two sequences, one step after the other.
                let mut segments = Segments::default();
                segments.push([0, 2, 4]);
                segments.push([1, 3]);
                targets.unlikelihood = Some(unlikely(0.6, &ids, &segments));
                graph.apply(CrossEntropy { targets, block: 2 }, &[x[0], x[1]])
            })
            .reference(|_, x| {
                let log_p = x[0].matmul_t(x[1]).log_softmax();
                let at = |row: usize, id: usize| log_p.slice(row, row + 1).slice_last(id, id + 1).reshape([]);
                // Of the first sequence, 2 comes again, and of the second one 1 is before 3.
                let unlikely = (at(3, 1).exp().scale(-1.0) + 1.0).log();
                (at(0, 2) + at(1, 1) + at(3, 3) + at(4, 2) + unlikely.scale(0.6)).scale(-1.0)
            }),
            Case::new("smoothed and weighted with unlikelihood", shapes, move |_, x| {
                let unlikelihood = Some(unlikely(0.4, &ids, &Segments::joined(&[4])));
                let targets = Targets { unlikelihood, z_loss: 0.1, ..targets(0.1, weights()) };
                x[0].cross_entropy(x[1], Some(x[2]), &targets)
            }),
            Case::new("below a soft cap", shapes, move |_, x| {
                let targets = Targets { soft_cap: Some(0.5), ..targets(0.1, weights()) };
                x[0].cross_entropy(x[1], Some(x[2]), &targets)
            }),
            Case::new("several blocks", &[&[5, 2], &[3, 2]], |graph, x| {
                let targets = Targets::new([2, 0, 1, 1, 0]);
                graph.apply(CrossEntropy { targets, block: 2 }, &[x[0], x[1]])
            }),
            Case::new("several blocks below a soft cap", &[&[5, 2], &[3, 2]], |graph, x| {
                let targets = Targets { soft_cap: Some(0.5), ..Targets::new([2, 0, 1, 1, 0]) };
                graph.apply(CrossEntropy { targets, block: 2 }, &[x[0], x[1]])
            })
            .reference(|_, x| {
                let capped = x[0].matmul_t(x[1]).scale(2.0).tanh().scale(0.5);
                let ids: Arc<[u32]> = Arc::from([2, 0, 1, 1, 0]);
                capped.log_softmax().gather_last(&ids).sum().scale(-1.0)
            }),
        ]
    }
}

impl<'t> Var<'t> {
    /// The summed cross entropy of `softmax(self weightᵀ + bias)` against `targets`, a scalar: `self[N, H]`,
    /// `weight[V, H]`, `bias[V]`. Divide by [`Targets::weight`] for PyTorch's mean.
    #[track_caller]
    pub fn cross_entropy(self, weight: Self, bias: Option<Self>, targets: &Targets) -> Self {
        let graph: Graph<'t> = self.graph();
        let op = CrossEntropy { targets: targets.clone(), block: block_rows(weight.shape().rows()) };
        match bias {
            Some(bias) => graph.apply(op, &[self, weight, bias]),
            None => graph.apply(op, &[self, weight]),
        }
    }
}
