//! Output projection and the log-likelihood of whole sequences in one operation, over blocks of rows so that the logits of all tokens
//! never exist at once:
//!
//! ```text
//! z = h Wᵀ + b      Lₛ = Σᵢ log softmax(zᵢ)ₜ over the rows i of sequence s      t = idᵢ      dLₛ/dz = 1ₜ - softmax(z)
//! ```
//!
//! What a loss makes of the sequences is known only after forward, so backward computes the logits again: one GEMM more than
//! [`super::cross_entropy`] has.

use super::cross_entropy::Targets;
use super::output_projection::{Projection, block_rows, check, to_bias};
use super::soft_cap::soft_cap;
use crate::weight::Weight;
use crate::{Backward, Case, Forward, GradCheck, Graph, Op, Segments, Var};
use descant_kernels::{Real, exp_minus_max_columns, zip_into};
use descant_tensor::{Shape, Tensor};
use std::sync::Arc;

/// Of which sequence each row is, and its id.
#[derive(Clone, Debug)]
struct Rows {
    /// Rows with [`Targets::IGNORED`] do not count.
    ids: Arc<[u32]>,
    sequences: Vec<usize>,
    count: usize,
}

/// The inputs are `h[N, H]`, `W[V, H]` and perhaps `b[V]`.
#[derive(Debug)]
pub struct LogLikelihood {
    rows: Rows,
    soft_cap: Option<f64>,
    /// Rows whose logits exist at once.
    block: usize,
}

impl LogLikelihood {
    /// `log p` of each row of a block, whose logits `[V, n]` become exponentials; `columns[2n]` become the largest logits and the sums of
    /// these. With `slopes`, these are of the soft cap.
    fn block<E: Real>(&self, ids: &[u32], logits: &mut [E], slopes: &mut [E], columns: &mut [E]) -> Vec<f64> {
        let n = ids.len();
        if let Some(cap) = self.soft_cap {
            soft_cap(cap, logits, slopes);
        }
        let of_target = |(i, &id): (usize, &u32)| match id {
            Targets::IGNORED => 0.0,
            id => logits[id as usize * n + i].f64(),
        };
        let targets: Vec<f64> = ids.iter().enumerate().map(of_target).collect();
        let (largest, total) = columns.split_at_mut(n);
        exp_minus_max_columns(logits, largest, total);
        let log_p = |i: usize| targets[i] - largest[i].f64() - total[i].f64().ln();
        (0..n).map(|i| if ids[i] == Targets::IGNORED { 0.0 } else { log_p(i) }).collect()
    }
}

impl Op for LogLikelihood {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        check(inputs)?;
        let (rows, classes, Rows { ids, count, .. }) = (inputs[0][0], inputs[1][0], &self.rows);
        if ids.len() != rows || self.rows.sequences.len() != rows {
            return Err(format!(
                "{} targets, and sequences of {} rows, for {rows} rows",
                ids.len(),
                self.rows.sequences.len()
            ));
        }
        if let Some(cap) = self.soft_cap.filter(|cap| !(*cap > 0.0 && cap.is_finite())) {
            return Err(format!("the soft cap is {cap}, not above 0"));
        }
        match ids.iter().find(|&&id| id != Targets::IGNORED && id as usize >= classes) {
            Some(id) => Err(format!("target {id} is outside {classes} classes")),
            None => Ok(Shape::new(&[*count])),
        }
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let projection = Projection::new(ctx, 0, ctx.inputs() > 2);
        let (classes, Rows { ids, sequences, count }) = (ctx.shape(1)[0], &self.rows);
        let most = self.block.min(ids.len());
        let (mut logits, mut columns) = (ctx.scratch(most * classes), ctx.scratch(2 * most));
        let mut sums = vec![0.0; *count];
        for (i, ids) in ids.chunks(self.block).enumerate() {
            let (start, n) = (i * self.block, ids.len());
            let logits = &mut logits[..classes * n];
            projection.logits(start, n, E::one(), logits);
            let found = self.block(ids, logits, &mut [], &mut columns[..2 * n]);
            found.iter().zip(&sequences[start..]).for_each(|(log_p, &sequence)| sums[sequence] += log_p);
        }
        ctx.output().iter_mut().zip(sums).for_each(|(y, sum)| *y = E::of(sum));
        [logits, columns].into_iter().for_each(|scratch| ctx.recycle(scratch));
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (dy, classes, width, Rows { ids, sequences, .. }) =
            (ctx.dy(), ctx.shape(1)[0], ctx.shape(0)[1], &self.rows);
        let weight = (Weight::RowMajor(ctx.input(1)), ctx.shape(1));
        let bias = (ctx.inputs() > 2).then(|| ctx.input(2));
        let projection = Projection::of(ctx.input(0), weight, bias, ctx.gemm_config());
        let most = self.block.min(ids.len());
        let (mut logits, mut columns) = (ctx.scratch(most * classes), ctx.scratch(2 * most));
        let mut slopes = ctx.scratch(if self.soft_cap.is_some() { most * classes } else { 0 });
        for (i, ids) in ids.chunks(self.block).enumerate() {
            let (start, n) = (i * self.block, ids.len());
            let logits = &mut logits[..classes * n];
            let slopes = &mut slopes[..if self.soft_cap.is_some() { classes * n } else { 0 }];
            projection.logits(start, n, E::one(), logits);
            self.block(ids, logits, slopes, &mut columns[..2 * n]);
            let (own, total) = columns[..2 * n].split_at_mut(n);
            for (i, (&id, &sequence)) in ids.iter().zip(&sequences[start..]).enumerate() {
                own[i] = if id == Targets::IGNORED { E::zero() } else { dy[sequence] };
                total[i] = -own[i] / total[i];
            }
            // Exponentials become gradients of the logits.
            for row in logits.chunks_exact_mut(n) {
                zip_into(row, total, total, |e, factor, _| e * factor);
            }
            for (i, &id) in ids.iter().enumerate().filter(|(_, id)| **id != Targets::IGNORED) {
                logits[id as usize * n + i] += own[i];
            }
            if self.soft_cap.is_some() {
                zip_into(logits, slopes, slopes, |dz, slope, _| dz * slope);
            }
            if let Some(dh) = ctx.dx(0) {
                projection.to_hidden(n, logits, E::one(), E::one(), &mut dh[start * width..][..n * width]);
            }
            if let Some((dw, beta)) = ctx.dx_beta(1) {
                projection.to_weight(start, n, logits, E::one(), beta, dw);
            }
            if let Some(db) = bias.and_then(|_| ctx.dx(2)) {
                to_bias(n, logits, E::one(), db);
            }
        }
        [logits, columns, slopes].into_iter().for_each(|scratch| ctx.recycle(scratch));
    }
}

impl GradCheck for LogLikelihood {
    fn cases() -> Vec<Case> {
        const IDS: [u32; 5] = [0, 4, Targets::IGNORED, 2, 1];
        // Time-major, of three sequences, the last of which is empty.
        const SEQUENCES: [usize; 5] = [0, 1, 0, 1, 0];
        let case = |name, shapes: &[&[usize]], cap: Option<f64>, block| {
            let own = Case::new(name, shapes, move |graph, x| {
                let rows = Rows { ids: IDS.into(), sequences: SEQUENCES.to_vec(), count: 3 };
                graph.apply(LogLikelihood { rows, soft_cap: cap, block }, x)
            });
            own.reference(move |graph, x| {
                let logits = x[0].matmul_t(x[1]);
                let logits = x.get(2).map_or(logits, |&b| logits + b);
                let logits = cap.map_or(logits, |cap| logits.scale(1.0 / cap).tanh().scale(cap));
                let ids = IDS.map(|id| if id == Targets::IGNORED { 0 } else { id });
                let mask = |s: usize| {
                    SEQUENCES
                        .iter()
                        .zip(IDS)
                        .map(move |(&of, id)| f64::from(u8::from(of == s && id != Targets::IGNORED)))
                };
                let mask: Vec<f64> = (0..3).flat_map(mask).collect();
                let mask = graph.constant(&Tensor::new([3, 5], &mask).expect("fifteen"));
                mask.matmul_t(logits.log_softmax().gather_last(&ids.into()).reshape([1, 5])).reshape([3])
            })
        };
        let shapes: &[&[usize]] = &[&[5, 3], &[5, 3], &[5]];
        vec![
            case("without bias", &shapes[..2], None, 64),
            case("with bias", shapes, None, 64),
            case("several blocks", shapes, None, 2),
            case("below a soft cap, in blocks", shapes, Some(0.7), 3),
        ]
    }
}

impl<'t> Var<'t> {
    /// The summed log-likelihood of the ids of each sequence, `[S]`: `self[N, H]` are the rows of sequences, `weight[V, H]` and `bias[V]`
    /// their projection to logits. Rows with [`Targets::IGNORED`] do not count.
    #[track_caller]
    pub fn log_likelihood(
        self,
        weight: Self,
        bias: Option<Self>,
        (ids, segments): (Arc<[u32]>, &Segments),
        soft_cap: Option<f64>,
    ) -> Self {
        let graph: Graph<'t> = self.graph();
        let mut sequences = vec![0; ids.len()];
        for s in 0..segments.len() {
            segments.rows(s).iter().for_each(|&row| sequences[row] = s);
        }
        let rows = Rows { ids, sequences, count: segments.len() };
        let op = LogLikelihood { rows, soft_cap, block: block_rows(weight.shape().rows()) };
        let inputs: Vec<Self> = [Some(self), Some(weight), bias].into_iter().flatten().collect();
        graph.apply(op, &inputs)
    }
}
