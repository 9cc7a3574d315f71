//! `y = Σ x` over all elements, or over one axis.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, axpy, map};
use descant_tensor::Shape;

/// The sum over `axis`, which disappears, or over everything.
#[derive(Debug)]
pub struct Sum {
    axis: Option<usize>,
}

/// Lengths before, along and after the axis.
fn split(shape: Shape, axis: Option<usize>) -> (usize, usize, usize) {
    match axis {
        None => (1, shape.len(), 1),
        Some(axis) => (shape.dims()[..axis].iter().product(), shape[axis], shape.dims()[axis + 1..].iter().product()),
    }
}

impl Op for Sum {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let Some(axis) = self.axis else { return Ok(Shape::default()) };
        if axis >= inputs[0].rank() {
            return Err(format!("{} has no axis {axis}", inputs[0]));
        }
        let mut lengths = inputs[0].dims().to_vec();
        lengths.remove(axis);
        Ok(Shape::new(&lengths))
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, (outer, along, inner)) = (ctx.input(0), split(ctx.shape(0), self.axis));
        let y = ctx.output();
        if inner == 1 {
            // A long sum of f32 loses digits: add in f64.
            for (y, x) in y.iter_mut().zip(x.chunks(along.max(1)).chain(std::iter::repeat(&x[..0]))) {
                *y = E::of(x.iter().map(|x| x.f64()).sum());
            }
            return;
        }
        y.fill(E::zero());
        for o in 0..outer {
            for a in 0..along {
                axpy(E::one(), &x[(o * along + a) * inner..][..inner], &mut y[o * inner..][..inner]);
            }
        }
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (dy, (outer, along, inner)) = (ctx.dy(), split(ctx.shape(0), self.axis));
        let Some(dx) = ctx.dx(0) else { return };
        for o in 0..outer {
            if inner == 1 {
                map(&mut dx[o * along..][..along], |dx| dx + dy[o]);
                continue;
            }
            for a in 0..along {
                axpy(E::one(), &dy[o * inner..][..inner], &mut dx[(o * along + a) * inner..][..inner]);
            }
        }
    }
}

impl GradCheck for Sum {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("all", &[&[2, 3]], |_, x| x[0].sum()),
            Case::new("first axis", &[&[4, 2, 3]], |_, x| x[0].sum_axis(0)),
            Case::new("middle axis", &[&[2, 4, 3]], |_, x| x[0].sum_axis(1)),
            Case::new("last axis", &[&[2, 3, 4]], |_, x| x[0].sum_axis(2)),
        ]
    }
}

impl<'t> Var<'t> {
    /// The sum of all elements: a scalar.
    #[track_caller]
    pub fn sum(self) -> Self {
        self.graph().apply(Sum { axis: None }, &[self])
    }

    /// The sum along one axis, which disappears.
    #[track_caller]
    pub fn sum_axis(self, axis: usize) -> Self {
        self.graph().apply(Sum { axis: Some(axis) }, &[self])
    }
}
