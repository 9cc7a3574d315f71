//! Elementwise operations of two inputs whose shapes need not be equal: axes are aligned from the last one, and an axis
//! of length one is repeated, as in NumPy.

use crate::op::{Backward, Forward};
use descant_kernels::{Real, vectorized};
use descant_tensor::Shape;

/// The shape of the result.
pub(crate) fn shape(a: Shape, b: Shape) -> Result<Shape, String> {
    let rank = a.rank().max(b.rank());
    let mut lengths = vec![0; rank];
    for (axis, length) in lengths.iter_mut().enumerate() {
        let of = |shape: Shape| (axis + shape.rank()).checked_sub(rank).map_or(1, |axis| shape[axis]);
        *length = match (of(a), of(b)) {
            (1, n) | (n, 1) => n,
            (n, m) if n == m => n,
            (n, m) => return Err(format!("{a} and {b} cannot be broadcast: axis {axis} has lengths {n} and {m}")),
        };
    }
    Ok(Shape::new(&lengths))
}

pub(crate) fn forward<E: Real>(ctx: &mut Forward<'_, E>, f: impl Fn(E, E) -> E) {
    let (a, b, sa, sb) = (ctx.input(0), ctx.input(1), ctx.shape(0), ctx.shape(1));
    let y = ctx.output();
    if sa == sb {
        vectorized(
            #[inline(always)]
            || y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = f(a, b)),
        );
    } else if is_suffix(sb, sa) {
        for (y, a) in y.chunks_exact_mut(b.len().max(1)).zip(a.chunks_exact(b.len().max(1))) {
            vectorized(
                #[inline(always)]
                || y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = f(a, b)),
            );
        }
    } else if let Ok(out) = shape(sa, sb) {
        walk(out, sa, sb, |o, i, j| y[o] = f(a[i], b[j]));
    }
}

/// Adds `da(a, b) dy` and `db(a, b) dy`, summed over repeated axes, to the gradients of the inputs.
pub(crate) fn backward<E: Real>(ctx: &mut Backward<'_, E>, da: impl Fn(E, E) -> E, db: impl Fn(E, E) -> E) {
    let (a, b, sa, sb, dy) = (ctx.input(0), ctx.input(1), ctx.shape(0), ctx.shape(1), ctx.dy());
    let out = ctx.output_shape();
    if let Some(dx) = ctx.dx(0) {
        if sa == sb {
            vectorized(
                #[inline(always)]
                || dx.iter_mut().zip(dy).zip(a.iter().zip(b)).for_each(|((dx, &dy), (&a, &b))| *dx += dy * da(a, b)),
            );
        } else {
            walk(out, sa, sb, |o, i, j| dx[i] += dy[o] * da(a[i], b[j]));
        }
    }
    if let Some(dx) = ctx.dx(1) {
        if sa == sb {
            vectorized(
                #[inline(always)]
                || dx.iter_mut().zip(dy).zip(a.iter().zip(b)).for_each(|((dx, &dy), (&a, &b))| *dx += dy * db(a, b)),
            );
        } else {
            walk(out, sa, sb, |o, i, j| dx[j] += dy[o] * db(a[i], b[j]));
        }
    }
}

fn is_suffix(short: Shape, long: Shape) -> bool {
    long.dims().ends_with(short.dims())
}

/// Calls `f` with the places of every element of the output and of the two inputs.
fn walk(out: Shape, a: Shape, b: Shape, mut f: impl FnMut(usize, usize, usize)) {
    let (sa, sb) = (strides(out, a), strides(out, b));
    let mut index = vec![0; out.rank()];
    let (mut i, mut j) = (0, 0);
    for o in 0..out.len() {
        f(o, i, j);
        for axis in (0..out.rank()).rev() {
            index[axis] += 1;
            i += sa[axis];
            j += sb[axis];
            if index[axis] < out[axis] {
                break;
            }
            i -= sa[axis] * out[axis];
            j -= sb[axis] * out[axis];
            index[axis] = 0;
        }
    }
}

/// Distances in `x` of one step along each axis of `out`: zero along repeated axes.
fn strides(out: Shape, x: Shape) -> Vec<usize> {
    let mut strides = vec![0; out.rank()];
    let mut stride = 1;
    for axis in (0..x.rank()).rev() {
        if x[axis] > 1 {
            strides[axis + out.rank() - x.rank()] = stride;
        }
        stride *= x[axis];
    }
    strides
}
