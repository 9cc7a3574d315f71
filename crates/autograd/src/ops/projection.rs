//! What the losses over a vocabulary share: the output projection of a block of rows, and its gradient.

use crate::pool::Scratch;
use crate::{Backward, Forward};
use descant_kernels::{Mat, MatMut, Products, Real, axpy, gemm, map, map_into, sum_of};
use descant_tensor::Shape;

/// Logits that exist at once, in elements: enough rows for the products to run at full speed.
const BLOCK: usize = 4 << 20;

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
/// The logits of a block lie class by class, `zᵀ = W hᵀ + b`: so all products read and write their matrices along the
/// rows, and the weights, much the largest of them, are never transposed.
pub(super) struct Projection<'a, E> {
    hidden: &'a [E],
    weight: &'a [E],
    bias: Option<&'a [E]>,
    classes: usize,
    width: usize,
    products: Products,
}

impl<'a, E: Real> Projection<'a, E> {
    /// Of the inputs from `first` on.
    pub(super) fn new(ctx: &Forward<'a, E>, first: usize, has_bias: bool) -> Self {
        let shape = ctx.shape(first + 1);
        Self {
            hidden: ctx.input(first),
            weight: ctx.input(first + 1),
            bias: has_bias.then(|| ctx.input(first + 2)),
            classes: shape[0],
            width: shape[1],
            products: ctx.products(),
        }
    }

    fn weight(&self) -> Mat<'a, E> {
        Mat::new(self.weight, self.classes, self.width)
    }

    /// `n` rows from `start`.
    fn rows(&self, start: usize, n: usize) -> Mat<'a, E> {
        Mat::new(&self.hidden[start * self.width..][..n * self.width], n, self.width)
    }

    /// The logits of `n` rows from `start`, times `scale`: `z[V, n]`.
    pub(super) fn logits(&self, start: usize, n: usize, scale: E, z: &mut [E]) {
        let out = MatMut::new(z, self.classes, n);
        gemm(scale, self.weight(), self.rows(start, n).t(), E::zero(), out, self.products);
        if let Some(bias) = self.bias {
            z.chunks_exact_mut(n).zip(bias).for_each(|(row, &b)| map(row, |z| z + scale * b));
        }
    }
}

/// The gradients with respect to `h`, `W` and `b`, gathered in forward as the blocks come by.
pub(super) struct Gathered<E>([Scratch<E>; 3]);

impl<E: Real> Gathered<E> {
    /// Nothing yet.
    pub(super) fn new(ctx: &mut Forward<'_, E>, projection: &Projection<'_, E>) -> Self {
        let wanted = ctx.needs_gradient();
        let len = |len: usize| if wanted { len } else { 0 };
        let Projection { hidden, weight, bias, .. } = projection;
        let sizes = [len(hidden.len()), len(weight.len()), len(bias.map_or(0, <[E]>::len))];
        let [dh, mut dw, mut db] = sizes.map(|len| ctx.scratch(len));
        db.fill(E::zero());
        if hidden.is_empty() {
            dw.fill(E::zero());
        }
        Self([dh, dw, db])
    }

    /// Carries the gradient `dz[V, n]` of a block's logits through the projection.
    pub(super) fn add(&mut self, projection: &Projection<'_, E>, start: usize, n: usize, dz: &[E]) {
        let Self([dh, dw, db]) = self;
        let Projection { classes, width, products, .. } = *projection;
        // The first block finds nothing to add to.
        let beta = if start == 0 { E::zero() } else { E::one() };
        let dlogits = Mat::new(dz, classes, n);
        let dh = MatMut::new(&mut dh[start * width..][..n * width], n, width);
        gemm(E::one(), dlogits.t(), projection.weight(), E::zero(), dh, products);
        gemm(E::one(), dlogits, projection.rows(start, n), beta, MatMut::new(dw, classes, width), products);
        db.iter_mut().zip(dz.chunks_exact(n)).for_each(|(b, row)| *b += sum_of(row, row, |dz, _| dz));
    }

    /// Keeps them for [`carry_back`].
    pub(super) fn save(self, ctx: &mut Forward<'_, E>) {
        self.0.into_iter().for_each(|gradient| ctx.save(gradient));
    }
}

/// Backward of a scalar whose gradients forward has [`Gathered`]: they are scaled by its own.
pub(super) fn carry_back<E: Real>(ctx: &mut Backward<'_, E>, has_bias: bool) {
    let scale = ctx.dy()[0];
    for i in 0..if has_bias { 3 } else { 2 } {
        let len = ctx.shape(i).len();
        let saved = ctx.take_saved(i, len);
        match ctx.dx_beta(i) {
            Some((dx, beta)) if beta == E::zero() => map_into(&saved, dx, |x| scale * x),
            Some((dx, _)) => axpy(scale, &saved, dx),
            None => {}
        }
        ctx.recycle(saved);
    }
}
