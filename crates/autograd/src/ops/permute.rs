//! The axes in another order: axis `i` of y is axis `axes[i]` of x.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::Real;
use descant_tensor::Shape;
use smallvec::SmallVec;

/// The axes in another order.
#[derive(Debug)]
pub struct Permute {
    axes: SmallVec<[usize; 6]>,
}

impl Permute {
    /// Calls `f` with the places of every element in the output and in the input.
    fn walk(&self, x: Shape, mut f: impl FnMut(usize, usize)) {
        let stride = |axis: usize| x.dims()[axis + 1..].iter().product::<usize>();
        let axes: SmallVec<[_; 6]> = self.axes.iter().map(|&axis| (x[axis], stride(axis))).collect();
        let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, axes.len());
        let mut i = 0;
        for o in 0..x.len() {
            f(o, i);
            for (index, &(length, stride)) in index.iter_mut().zip(&axes).rev() {
                *index += 1;
                i += stride;
                if *index < length {
                    break;
                }
                i -= stride * length;
                *index = 0;
            }
        }
    }
}

impl Op for Permute {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let rank = inputs[0].rank();
        if self.axes.len() != rank || (0..rank).any(|axis| !self.axes.contains(&axis)) {
            return Err(format!("{:?} does not name each of {rank} axes once", self.axes));
        }
        Ok(Shape::new(&self.axes.iter().map(|&axis| inputs[0][axis]).collect::<SmallVec<[usize; 6]>>()))
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, shape) = (ctx.input(0), ctx.shape(0));
        let y = ctx.output();
        self.walk(shape, |o, i| y[o] = x[i]);
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (dy, shape) = (ctx.dy(), ctx.shape(0));
        if let Some(dx) = ctx.dx(0) {
            self.walk(shape, |o, i| dx[i] += dy[o]);
        }
    }
}

impl GradCheck for Permute {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("cycle", &[&[2, 3, 4]], |_, x| x[0].permute(&[2, 0, 1])),
            Case::new("heads", &[&[2, 3, 2, 4]], |_, x| x[0].permute(&[0, 2, 1, 3])),
            Case::new("there and back", &[&[2, 3, 4]], |_, x| x[0].permute(&[2, 0, 1]).permute(&[1, 2, 0]))
                .reference(|_, x| x[0]),
        ]
    }
}

impl Var<'_> {
    /// The axes in another order, copied: axis `i` of the result is axis `axes[i]` of this.
    #[track_caller]
    pub fn permute(self, axes: &[usize]) -> Self {
        self.graph().apply(Permute { axes: axes.into() }, &[self])
    }
}
