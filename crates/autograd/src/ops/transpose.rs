//! `y = xᵀ`: the last two axes exchanged.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Real, axpy, transpose};
use descant_tensor::Shape;

/// Every matrix of the last two axes transposed.
#[derive(Debug)]
pub struct Transpose;

/// Rows and columns of the matrices, and the elements of one.
fn matrices(shape: Shape) -> (usize, usize, usize) {
    let (rows, columns) = (shape[shape.rank() - 2], shape.last());
    (rows, columns, (rows * columns).max(1))
}

impl Op for Transpose {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let mut lengths = inputs[0].dims().to_vec();
        match lengths.as_mut_slice() {
            [.., rows, columns] => std::mem::swap(rows, columns),
            _ => return Err("expected at least two axes".to_owned()),
        }
        Ok(Shape::new(&lengths))
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (x, (rows, columns, len)) = (ctx.input(0), matrices(ctx.shape(0)));
        for (x, y) in x.chunks_exact(len).zip(ctx.output().chunks_exact_mut(len)) {
            transpose(x, rows, columns, y);
        }
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (dy, (rows, columns, len)) = (ctx.dy(), matrices(ctx.shape(0)));
        let mut transposed = ctx.scratch(len);
        if let Some(dx) = ctx.dx(0) {
            for (dy, dx) in dy.chunks_exact(len).zip(dx.chunks_exact_mut(len)) {
                transpose(dy, columns, rows, &mut transposed);
                axpy(E::one(), &transposed, dx);
            }
        }
        ctx.recycle(transposed);
    }
}

impl GradCheck for Transpose {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("matrix", &[&[2, 3], &[4, 3]], |_, x| x[0].matmul(x[1].transpose()))
                .reference(|_, x| x[0].matmul_t(x[1])),
            Case::new("batch", &[&[3, 2, 4]], |_, x| x[0].transpose()).reference(|_, x| x[0].permute(&[0, 2, 1])),
        ]
    }
}

impl Var<'_> {
    /// The last two axes exchanged, copied: `[.., R, C]` to `[.., C, R]`.
    #[track_caller]
    pub fn transpose(self) -> Self {
        self.graph().apply(Transpose, &[self])
    }
}
