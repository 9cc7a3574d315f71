//! What the losses over a vocabulary share: the output projection of a block of rows, and its gradient.

use crate::pool::Scratch;
use crate::weight::Weight;
use crate::{Backward, Forward};
use descant_kernels::{GemmConfig, Mat, MatMut, Real, axpy, gemm, map, map_into, transpose, zip_sum};
use descant_tensor::Shape;
use std::ops::Range;

/// Logits that exist at once, in elements: enough rows for the GEMMs to run at full speed.
const BLOCK: usize = 8 << 20;

/// Rows of a block.
pub(super) fn block_rows(classes: usize) -> usize {
    (BLOCK / classes.max(1)).clamp(128, 4096) / 64 * 64
}

/// That these are `h[N, H]`, `W[V, H]` and perhaps `b[V]`.
pub(super) fn check(inputs: &[Shape]) -> Result<(), String> {
    match *inputs {
        [h, w, ..] if h.rank() == 2 && w.rank() == 2 && h[1] == w[1] => match inputs.get(2) {
            Some(b) if b.dims() != [w[0]] => Err(format!("expected a bias of shape [{}]", w[0])),
            _ => Ok(()),
        },
        _ => Err("expected h[N, H] and W[V, H]".to_owned()),
    }
}

/// Hidden states `h[N, H]`, and the projection `W[V, H]`, perhaps with `b[V]`, to logits.
///
/// The logits of a block lie class by class, `zᵀ = W hᵀ + b`: so all GEMMs read and write their matrices along the
/// rows, and the weights, much the largest of them, are never transposed.
pub(super) struct Projection<'a, E> {
    hidden: &'a [E],
    weight: Weight<'a, E>,
    bias: Option<&'a [E]>,
    classes: usize,
    width: usize,
    config: GemmConfig,
}

impl<'a, E: Real> Projection<'a, E> {
    /// Of the inputs from `first` on.
    pub(super) fn new(ctx: &Forward<'a, E>, first: usize, has_bias: bool) -> Self {
        let bias = has_bias.then(|| ctx.input(first + 2));
        Self::of(ctx.input(first), (ctx.weight(first + 1), ctx.shape(first + 1)), bias, ctx.gemm_config())
    }

    pub(super) fn of(
        hidden: &'a [E],
        (weight, shape): (Weight<'a, E>, Shape),
        bias: Option<&'a [E]>,
        config: GemmConfig,
    ) -> Self {
        Self { hidden, weight, bias, classes: shape[0], width: shape[1], config }
    }

    /// `n` rows from `start`.
    fn rows(&self, start: usize, n: usize) -> Mat<'a, E> {
        Mat::new(&self.hidden[start * self.width..][..n * self.width], n, self.width)
    }

    /// The logits of `n` rows from `start`, times `scale`: `z[V, n]`.
    pub(super) fn logits(&self, start: usize, n: usize, scale: E, z: &mut [E]) {
        match self.weight {
            Weight::RowMajor(weight) => {
                let (weight, out) = (Mat::new(weight, self.classes, self.width), MatMut::new(z, self.classes, n));
                gemm(scale, weight, self.rows(start, n).t(), E::zero(), out, self.config);
            }
            Weight::Stored(weight) => {
                let mut logits = vec![E::zero(); n * self.classes];
                let out = MatMut::new(&mut logits, n, self.classes);
                weight.gemm(self.rows(start, n), out, self.config);
                transpose(&logits, n, self.classes, z);
                map(z, |z| scale * z);
            }
        }
        if let Some(bias) = self.bias {
            z.chunks_exact_mut(n).zip(bias).for_each(|(row, &b)| map(row, |z| z + scale * b));
        }
    }

    /// `dh = beta dh + scale dzᵀ W`, of `n` rows, from the gradient `dz[V, n]` of their logits.
    pub(super) fn to_hidden(&self, n: usize, dz: &[E], scale: E, beta: E, dh: &mut [E]) {
        // Of what is recorded for a backward, all weights are row-major.
        let Weight::RowMajor(weight) = self.weight else { return };
        let (dlogits, weight) = (Mat::new(dz, self.classes, n), Mat::new(weight, self.classes, self.width));
        gemm(scale, dlogits.t(), weight, beta, MatMut::new(dh, n, self.width), self.config);
    }

    /// `dW = beta dW + scale dz h`, the same.
    pub(super) fn to_weight(&self, start: usize, n: usize, dz: &[E], scale: E, beta: E, dw: &mut [E]) {
        let into = MatMut::new(dw, self.classes, self.width);
        gemm(scale, Mat::new(dz, self.classes, n), self.rows(start, n), beta, into, self.config);
    }
}

/// `db += scale Σ dz`, over the rows of a block.
pub(super) fn to_bias<E: Real>(n: usize, dz: &[E], scale: E, db: &mut [E]) {
    db.iter_mut().zip(dz.chunks_exact(n)).for_each(|(b, row)| *b += scale * zip_sum(row, row, |dz, _| dz));
}

/// The gradients with respect to `h`, `W` and `b`, gathered in forward as the blocks come by; but for the last block, which
/// backward carries through the projection, right to where its gradients belong. Only those that are needed.
pub(super) struct Gathered<E> {
    sums: [Scratch<E>; 3],
    needed: [bool; 3],
}

impl<E: Real> Gathered<E> {
    /// Nothing yet, of blocks of which the last is `last`.
    pub(super) fn new(ctx: &mut Forward<'_, E>, projection: &Projection<'_, E>, last: &Range<usize>) -> Self {
        let Projection { classes, bias, width, .. } = projection;
        let needed = [0, 1, 2].map(|i| last.start > 0 && (i < 2 || bias.is_some()) && ctx.needs(i));
        let lengths = [last.start * width, classes * width, bias.map_or(0, <[E]>::len)];
        let mut sums = [0, 1, 2].map(|i| ctx.scratch(if needed[i] { lengths[i] } else { 0 }));
        sums[2].fill(E::zero());
        Self { sums, needed }
    }

    /// Carries the gradient `dz[V, n]` of a block's logits through the projection.
    pub(super) fn add(&mut self, projection: &Projection<'_, E>, start: usize, n: usize, dz: &[E]) {
        let Self { sums: [dh, dw, db], needed } = self;
        // The first block finds nothing to add to.
        let (width, beta) = (projection.width, if start == 0 { E::zero() } else { E::one() });
        if needed[0] {
            projection.to_hidden(n, dz, E::one(), E::zero(), &mut dh[start * width..][..n * width]);
        }
        if needed[1] {
            projection.to_weight(start, n, dz, E::one(), beta, dw);
        }
        if needed[2] {
            to_bias(n, dz, E::one(), db);
        }
    }

    /// Keeps them for [`carry_back`], and the gradient of the last block's logits.
    pub(super) fn save(self, ctx: &mut Forward<'_, E>, last: Scratch<E>) {
        self.sums.into_iter().chain([last]).for_each(|gradient| ctx.save(gradient));
    }
}

/// The last of the blocks that `rows` rows are cut into.
pub(super) fn last_block(rows: usize, block: usize) -> Range<usize> {
    rows.saturating_sub(1) / block * block..rows
}

/// Backward of a scalar whose gradients forward has [`Gathered`]: they are scaled by its own.
pub(super) fn carry_back<E: Real>(ctx: &mut Backward<'_, E>, last: Range<usize>, has_bias: bool) {
    let (scale, n, before) = (ctx.dy()[0], last.len(), last.start);
    let weight = (Weight::RowMajor(ctx.input(1)), ctx.shape(1));
    let projection = Projection::of(ctx.input(0), weight, None, ctx.gemm_config());
    let (classes, width) = (projection.classes, projection.width);
    let inputs = if has_bias { 3 } else { 2 };
    let lengths = [before * width, classes * width, classes];
    let dz = ctx.take_saved(3, classes * n);
    for (i, len) in lengths.into_iter().enumerate().take(inputs) {
        let saved = ctx.take_saved(i, if before > 0 && ctx.needs(i) { len } else { 0 });
        if let Some((dx, mut beta)) = ctx.dx_beta(i) {
            let (gathered, rest) = dx.split_at_mut(saved.len());
            match beta == E::zero() {
                true => map_into(&saved, gathered, |x| scale * x),
                false => axpy(scale, &saved, gathered),
            }
            match i {
                0 => projection.to_hidden(n, &dz, scale, beta, rest),
                1 => {
                    beta = if before > 0 { E::one() } else { beta };
                    projection.to_weight(before, n, &dz, scale, beta, dx);
                }
                _ => {
                    if beta == E::zero() {
                        rest.fill(E::zero());
                    }
                    to_bias(n.max(1), &dz, scale, dx);
                }
            }
        }
        ctx.recycle(saved);
    }
    ctx.recycle(dz);
}
