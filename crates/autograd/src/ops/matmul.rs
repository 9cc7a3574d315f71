//! `y = a b`: one product, or one for each index of the leading axes.

use crate::{Backward, Case, Forward, GradCheck, Op, Var};
use descant_kernels::{Mat, MatMut, Real, gemm};
use descant_tensor::Shape;

/// The product of `a[.., M, K]` and `b[.., K, N]`, each transposed first where its flag says so. The leading axes are
/// equal, or `b` has none and is used for all.
#[derive(Debug)]
pub struct MatMul {
    transpose_a: bool,
    transpose_b: bool,
}

/// Sizes of one product, and how many there are.
struct Sizes {
    m: usize,
    k: usize,
    n: usize,
    batch: usize,
    shared: bool,
}

impl MatMul {
    fn sizes(&self, a: Shape, b: Shape) -> Result<Sizes, String> {
        if a.rank() < 2 || b.rank() < 2 {
            return Err("matmul needs two axes at least".to_owned());
        }
        let last_two = |shape: Shape, transposed: bool| {
            let (rows, columns) = (shape[shape.rank() - 2], shape.last());
            if transposed { (columns, rows) } else { (rows, columns) }
        };
        let (m, k) = last_two(a, self.transpose_a);
        let (inner, n) = last_two(b, self.transpose_b);
        let (lead_a, lead_b) = (&a.dims()[..a.rank() - 2], &b.dims()[..b.rank() - 2]);
        let shared = lead_b.is_empty() && !lead_a.is_empty();
        if k != inner {
            return Err(format!("the inner axes have lengths {k} and {inner}"));
        }
        if lead_a != lead_b && !shared {
            return Err("the leading axes differ".to_owned());
        }
        Ok(Sizes { m, k, n, batch: lead_a.iter().product(), shared })
    }

    /// `a` of product `i`, as `[M, K]`.
    fn a<'x, E: Real>(&self, s: &Sizes, a: &'x [E], i: usize) -> Mat<'x, E> {
        let a = &a[i * s.m * s.k..][..s.m * s.k];
        if self.transpose_a { Mat::new(a, s.k, s.m).t() } else { Mat::new(a, s.m, s.k) }
    }

    /// `b` of product `i`, as `[K, N]`.
    fn b<'x, E: Real>(&self, s: &Sizes, b: &'x [E], i: usize) -> Mat<'x, E> {
        let b = if s.shared { b } else { &b[i * s.k * s.n..][..s.k * s.n] };
        if self.transpose_b { Mat::new(b, s.n, s.k).t() } else { Mat::new(b, s.k, s.n) }
    }
}

fn y<'y, E: Real>(s: &Sizes, y: &'y [E], i: usize) -> &'y [E] {
    &y[i * s.m * s.n..][..s.m * s.n]
}

impl Op for MatMul {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (a, b) = (inputs[0], inputs[1]);
        let s = self.sizes(a, b)?;
        let mut lengths = a.dims().to_vec();
        lengths.truncate(a.rank() - 2);
        lengths.extend([s.m, s.n]);
        Ok(Shape::new(&lengths))
    }

    fn forward<E: Real>(&self, ctx: &mut Forward<'_, E>) {
        let (a, b, config) = (ctx.input(0), ctx.input(1), ctx.gemm_config());
        let Ok(s) = self.sizes(ctx.shape(0), ctx.shape(1)) else { return };
        let y = ctx.output();
        for i in 0..s.batch {
            let y = MatMut::new(&mut y[i * s.m * s.n..][..s.m * s.n], s.m, s.n);
            gemm(E::one(), self.a(&s, a, i), self.b(&s, b, i), E::zero(), y, config);
        }
    }

    fn backward<E: Real>(&self, ctx: &mut Backward<'_, E>) {
        let (a, b, dy, config) = (ctx.input(0), ctx.input(1), ctx.dy(), ctx.gemm_config());
        let Ok(s) = self.sizes(ctx.shape(0), ctx.shape(1)) else { return };
        if let Some((da, beta)) = ctx.dx_beta(0) {
            for i in 0..s.batch {
                let dy = Mat::new(y(&s, dy, i), s.m, s.n);
                let da = &mut da[i * s.m * s.k..][..s.m * s.k];
                if self.transpose_a {
                    gemm(E::one(), self.b(&s, b, i), dy.t(), beta, MatMut::new(da, s.k, s.m), config);
                } else {
                    gemm(E::one(), dy, self.b(&s, b, i).t(), beta, MatMut::new(da, s.m, s.k), config);
                }
            }
        }
        if let Some((db, mut beta)) = ctx.dx_beta(1) {
            if s.batch == 0 && beta == E::zero() {
                db.fill(E::zero());
            }
            for i in 0..s.batch {
                let dy = Mat::new(y(&s, dy, i), s.m, s.n);
                let db = if s.shared { &mut *db } else { &mut db[i * s.k * s.n..][..s.k * s.n] };
                if self.transpose_b {
                    gemm(E::one(), dy.t(), self.a(&s, a, i), beta, MatMut::new(db, s.n, s.k), config);
                } else {
                    gemm(E::one(), self.a(&s, a, i).t(), dy, beta, MatMut::new(db, s.k, s.n), config);
                }
                if s.shared {
                    beta = E::one();
                }
            }
        }
    }
}

impl GradCheck for MatMul {
    fn cases() -> Vec<Case> {
        vec![
            Case::new("two matrices", &[&[3, 4], &[4, 2]], |_, x| x[0].matmul(x[1])),
            Case::new("b transposed", &[&[3, 4], &[2, 4]], |_, x| x[0].matmul_t(x[1])),
            Case::new("a transposed", &[&[4, 3], &[4, 2]], |_, x| x[0].t_matmul(x[1])),
            Case::new("batched", &[&[2, 3, 4], &[2, 4, 2]], |_, x| x[0].matmul(x[1])),
            Case::new("batched, b transposed", &[&[2, 3, 4], &[2, 2, 4]], |_, x| x[0].matmul_t(x[1])),
            Case::new("batched, b shared", &[&[2, 3, 4], &[4, 2]], |_, x| x[0].matmul(x[1])),
            Case::new("batched, a transposed, b shared", &[&[2, 4, 3], &[4, 2]], |_, x| x[0].t_matmul(x[1])),
        ]
    }
}

impl<'t> Var<'t> {
    /// `self @ other`.
    #[track_caller]
    pub fn matmul(self, other: Self) -> Self {
        self.graph().apply(MatMul { transpose_a: false, transpose_b: false }, &[self, other])
    }

    /// `self @ otherᵀ`.
    #[track_caller]
    pub fn matmul_t(self, other: Self) -> Self {
        self.graph().apply(MatMul { transpose_a: false, transpose_b: true }, &[self, other])
    }

    /// `selfᵀ @ other`.
    #[track_caller]
    pub fn t_matmul(self, other: Self) -> Self {
        self.graph().apply(MatMul { transpose_a: true, transpose_b: false }, &[self, other])
    }
}
