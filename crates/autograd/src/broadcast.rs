//! Elementwise operations of two inputs whose shapes need not be equal: axes are aligned from the last one, and an axis
//! of length one is repeated, as in NumPy.
//!
//! The output is walked in runs: as many of the last axes as are, in each input, all there or all repeated. Within a
//! run an input is either a slice or a single number, so the inner loops are plain.

use crate::context::{Backward, Forward};
use descant_kernels::{Real, map_into, vectorized, zip_into};
use descant_tensor::Shape;
use smallvec::SmallVec;

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

pub(crate) fn forward<E: Real>(ctx: &mut Forward<'_, E>, f: impl Fn(E, E) -> E + Sync) {
    let (a, b) = (ctx.input(0), ctx.input(1));
    let Ok(out) = shape(ctx.shape(0), ctx.shape(1)) else { return };
    let runs = Runs::new(out, ctx.shape(0), ctx.shape(1));
    if runs.count == 1 && runs.single == [false; 2] {
        let columns = out.last().max(1);
        return ctx.each_row(columns, |rows, y| {
            let start = rows.start * columns;
            zip_into(y, &a[start..], &b[start..], |_, a, b| f(a, b));
        });
    }
    let y = ctx.output();
    runs.walk(|o, i, j| {
        let y = &mut y[o..o + runs.length];
        if runs.single[0] {
            let a = a[i];
            map_into(&b[j..], y, |b| f(a, b));
        } else if runs.single[1] {
            let b = b[j];
            map_into(&a[i..], y, |a| f(a, b));
        } else {
            zip_into(y, &a[i..], &b[j..], |_, a, b| f(a, b));
        }
    });
}

/// Adds `da(a, b) dy` and `db(a, b) dy`, summed over repeated axes, to the gradients of the inputs.
pub(crate) fn backward<E: Real>(ctx: &mut Backward<'_, E>, da: impl Fn(E, E) -> E, db: impl Fn(E, E) -> E) {
    let (sa, sb, out) = (ctx.shape(0), ctx.shape(1), ctx.output_shape());
    input_backward(ctx, 0, 1, &Runs::new(out, sa, sb), da);
    input_backward(ctx, 1, 0, &Runs::new(out, sb, sa), |b, a| db(a, b));
}

/// The gradient of input `own`, with `d(own, other)` the derivative.
fn input_backward<E: Real>(ctx: &mut Backward<'_, E>, own: usize, other: usize, runs: &Runs, d: impl Fn(E, E) -> E) {
    let (a, b, dy) = (ctx.input(own), ctx.input(other), ctx.dy());
    let Some((dx, beta)) = ctx.dx_beta(own) else { return };
    if beta == E::zero() && runs.count == 1 && runs.single == [false; 2] {
        vectorized(
            #[inline(always)]
            || dx.iter_mut().zip(dy).zip(a.iter().zip(b)).for_each(|((dx, &dy), (&a, &b))| *dx = dy * d(a, b)),
        );
        return;
    }
    if beta == E::zero() {
        dx.fill(E::zero());
    }
    runs.walk(|o, i, j| {
        let dy = &dy[o..o + runs.length];
        if runs.single[0] {
            // A long sum of f32 loses digits: add in f64.
            let sum = dy.iter().zip(&b[j..]).map(|(&dy, &b)| (dy * d(a[i], b)).f64()).sum();
            dx[i] += E::of(sum);
        } else if runs.single[1] {
            let b = b[j];
            zip_into(&mut dx[i..], dy, &a[i..], |dx, dy, a| dx + dy * d(a, b));
        } else {
            let dx = &mut dx[i..i + runs.length];
            vectorized(
                #[inline(always)]
                || {
                    dx.iter_mut()
                        .zip(dy)
                        .zip(a[i..].iter().zip(&b[j..]))
                        .for_each(|((dx, &dy), (&a, &b))| *dx += dy * d(a, b))
                },
            );
        }
    });
}

/// How two inputs lie under the output.
struct Runs {
    /// Lengths of the output's axes outside of a run, and of one step along each in the two inputs.
    axes: SmallVec<[(usize, [usize; 2]); 6]>,
    /// Elements of the output in one run.
    length: usize,
    /// How many runs.
    count: usize,
    /// Whether the first and the second input are a single number in each run.
    single: [bool; 2],
}

impl Runs {
    fn new(out: Shape, a: Shape, b: Shape) -> Self {
        let mut runs = Self { axes: SmallVec::new(), length: 1, count: 1, single: [false; 2] };
        let mut strides = [1, 1];
        let mut kind = None;
        for back in 1..=out.rank() {
            let length = out[out.rank() - back];
            let of = |x: Shape| x.rank().checked_sub(back).map_or(1, |axis| x[axis]);
            let lengths = [of(a), of(b)];
            if length == 1 {
                continue;
            }
            let repeated = lengths.map(|n| n == 1);
            if runs.axes.is_empty() && *kind.get_or_insert(repeated) == repeated {
                runs.length *= length;
                runs.single = repeated;
            } else {
                let step = |input: usize| if repeated[input] { 0 } else { strides[input] };
                runs.axes.push((length, [step(0), step(1)]));
                runs.count *= length;
            }
            (strides[0], strides[1]) = (strides[0] * lengths[0], strides[1] * lengths[1]);
        }
        if runs.length == 0 {
            runs.count = 0;
        }
        runs
    }

    /// Calls `f` with where each run starts in the output and in the two inputs.
    fn walk(&self, mut f: impl FnMut(usize, usize, usize)) {
        let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, self.axes.len());
        let (mut i, mut j) = (0, 0);
        for run in 0..self.count {
            f(run * self.length, i, j);
            for (index, &(length, [step_i, step_j])) in index.iter_mut().zip(&self.axes) {
                *index += 1;
                i += step_i;
                j += step_j;
                if *index < length {
                    break;
                }
                i -= step_i * length;
                j -= step_j * length;
                *index = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where an element of the output lies in an input, by its coordinates.
    fn place(out: Shape, mut o: usize, x: Shape) -> usize {
        let (mut place, mut stride) = (0, 1);
        for back in 1..=out.rank() {
            let length = out[out.rank() - back];
            let coordinate = o % length;
            o /= length;
            if let Some(axis) = x.rank().checked_sub(back) {
                place += if x[axis] == 1 { 0 } else { coordinate * stride };
                stride *= x[axis];
            }
        }
        place
    }

    #[test]
    fn runs_cover_every_element_with_the_right_ones_of_the_inputs() -> Result<(), String> {
        let shapes: [&[usize]; 12] = [
            &[],
            &[1],
            &[3],
            &[4, 3],
            &[4, 1],
            &[1, 3],
            &[2, 4, 3],
            &[2, 1, 3],
            &[2, 1, 1],
            &[2, 4, 1],
            &[1, 4, 1],
            &[5, 1, 4, 3],
        ];
        for (a, b) in shapes.iter().flat_map(|&a| shapes.iter().map(move |&b| (Shape::from(a), Shape::from(b)))) {
            let out = shape(a, b)?;
            let runs = Runs::new(out, a, b);
            let mut found = Vec::new();
            runs.walk(|o, i, j| {
                for k in 0..runs.length {
                    let step = |input: usize| if runs.single[input] { 0 } else { k };
                    found.push((o + k, i + step(0), j + step(1)));
                }
            });
            let expected: Vec<_> = (0..out.len()).map(|o| (o, place(out, o, a), place(out, o, b))).collect();
            assert_eq!(found, expected, "{a} and {b}");
        }
        Ok(())
    }

    #[test]
    fn an_empty_axis_has_no_runs_and_unequal_ones_are_refused() {
        for (a, b) in [([0, 3], [1, 3]), ([2, 0], [2, 1]), ([0, 1], [1, 3])] {
            let (a, b) = (Shape::from(a), Shape::from(b));
            assert!(shape(a, b).is_ok_and(|out| out.is_empty() && Runs::new(out, a, b).count == 0));
        }
        assert!(shape([2, 3].into(), [3, 3].into()).is_err());
    }
}
