//! `yᵢ = maxⱼ xᵢⱼ` over the last axis. The gradient goes to the first of the largest.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::Real;
use descant_tensor::Shape;

/// The largest element of every row, and the axis disappears.
#[derive(Debug)]
pub struct MaxLast;

/// Where the first of the largest elements of a row is; of the first that is not a number, where there is one.
fn first_largest<E: Real>(row: &[E]) -> usize {
    let mut best = 0;
    for (j, x) in row.iter().enumerate() {
        if x.is_nan() {
            return j;
        }
        if *x > row[best] {
            best = j;
        }
    }
    best
}

impl Op for MaxLast {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs[0].dims().split_last() {
            Some((&width, outer)) if width > 0 => Ok(Shape::new(outer)),
            _ => Err("expected a last axis of at least one element".to_owned()),
        }
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, width) = (ctx.input(0), ctx.shape(0).last());
        for (y, x) in ctx.output().iter_mut().zip(x.chunks_exact(width)) {
            *y = x[first_largest(x)];
        }
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (x, dy, width) = (ctx.input(0), ctx.dy(), ctx.shape(0).last());
        let Some(dx) = ctx.dx(0) else { return };
        for ((dx, x), &dy) in dx.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(dy) {
            dx[first_largest(x)] += dy;
        }
    }
}

impl GradCheck for MaxLast {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("rows", &[&[2, 3, 5]], |_, x| x[0].max_last()),
            Case::new("one axis", &[&[5]], |_, x| x[0].max_last()),
        ]
    }
}

impl Var<'_> {
    /// The largest element along the last axis: `[.., D]` to `[..]`.
    #[track_caller]
    pub fn max_last(self) -> Self {
        self.graph().apply(MaxLast, &[self])
    }
}

#[cfg(test)]
mod tests {
    use crate::{Parameters, Tape};
    use descant_tensor::DType;

    #[test]
    fn of_equal_elements_the_first_receives_the_gradient() -> descant_tensor::Result<()> {
        let mut parameters = Parameters::new(DType::F64);
        let x = parameters.add_with("x", [2, 3], &[1.0, 4.0, 4.0, 2.0, 2.0, 2.0]);
        let (mut gradients, mut tape) = (parameters.gradients(), Tape::new());
        let graph = tape.train(&parameters, 0);
        let y = graph.parameter(x).max_last();
        assert_eq!(y.value()?.to_f64(), [4.0, 2.0]);
        graph.backward(y.sum(), &mut gradients)?;
        assert_eq!(gradients.to_f64(x), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
        Ok(())
    }
}
