//! Many small GEMMs in one call, batch-invariant: the heads of an attention.

use crate::axpy_tiles::AxpyTiles;
use crate::batch_invariant::{gemm_batch_invariant, is_batch_invariant};
use crate::columns::Columns;
use crate::dot_tiles::DotTiles;
use crate::flops::count;
use crate::gemm_config::Parallelism;
use crate::mat::{Mat, MatMut, check_gemm_shapes};
use crate::real::Real;
use pulp::{Arch, Simd, WithSimd};
use std::mem::take;

/// `C_i = β C_i + α A_i B_i` for some pairs of operands of the same shapes, where `C_i` begins `step` elements after the one before it in `c`, and
/// has rows so many elements apart. Each has the bits that [`gemm_batch_invariant`] gives it. With `beta` zero, `c` is not read.
///
/// # Panics
/// If the shapes do not match, `c` is too short, or an operand is not contiguous along its rows or columns: an error in the caller.
pub fn gemm_batched<'a, E: Real>(
    alpha: E,
    operands: impl Iterator<Item = (Mat<'a, E>, Mat<'a, E>)> + Clone,
    beta: E,
    c: &mut [E],
    (step, row_stride): (usize, usize),
) {
    if let Some((a, b)) = operands.clone().next()
        && a.columns > 0
        && let Some(c) = E::as_f32_mut(c)
    {
        let (alpha, beta) = (alpha.f64() as f32, beta.f64() as f32);
        count(a.rows, a.columns, b.columns * operands.clone().count());
        let mut operands = operands.filter_map(|(a, b)| Some((a.as_f32()?, b.as_f32()?)));
        return run(Batched { alpha, operands: &mut operands, beta, c, step, row_stride });
    }
    for (i, (a, b)) in operands.enumerate() {
        let c = MatMut::strided(&mut c[i * step..], a.rows, b.columns, row_stride);
        gemm_batch_invariant(alpha, a, b, beta, c, Parallelism::Serial);
    }
}

/// The operands are a trait object, so that the tiles are compiled once.
struct Batched<'c, 'a> {
    alpha: f32,
    operands: &'c mut dyn Iterator<Item = (Mat<'a, f32>, Mat<'a, f32>)>,
    beta: f32,
    c: &'c mut [f32],
    step: usize,
    row_stride: usize,
}

fn run(batched: Batched<'_, '_>) {
    Arch::new().dispatch(batched);
}

impl WithSimd for Batched<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut rest = take(&mut self.c);
        let mut place = 0;
        for (a, b) in self.operands {
            rest = &mut take(&mut rest)[place..];
            place = self.step;
            let c = MatMut::strided(&mut *rest, a.rows, b.columns, self.row_stride);
            check_gemm_shapes(&a, &b, &c);
            assert!(is_batch_invariant(&a, &b), "a GEMM whose order of summation depends on the batch");
            let (c, columns) = (Columns::new(self.alpha, self.beta, c), 0..b.columns);
            match b.row_stride {
                1 => DotTiles { a, b, c, columns }.with_simd(simd),
                _ => AxpyTiles { a, b, c, columns }.with_simd(simd),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 997) as f32 / 997.0 - 0.5).collect()
    }

    /// Heads beside each other in rows of `A`, `B` and `C`, and the same one by one.
    fn check<E: Real>(n: usize, heads: usize, head_dim: usize, keys: usize, beta: f64) {
        let of = |x: Vec<f32>| -> Vec<E> { x.into_iter().map(|x| E::of(f64::from(x))).collect() };
        let columns = heads * head_dim;
        let (q, kv) = (of(numbers(n * columns, 1)), of(numbers(keys * columns, 2)));
        let (q, kv) = (Mat::new(&q, n, columns), Mat::new(&kv, keys, columns));
        let own = |head: usize| head * head_dim..(head + 1) * head_dim;
        let operands = (0..heads).map(|head| (q.columns(own(head)), kv.columns(own(head)).t()));
        let mut scores = [(); 2].map(|()| of(numbers(heads * n * keys, 3)));
        gemm_batched(E::of(0.5), operands.clone(), E::of(beta), &mut scores[0], (n * keys, keys));
        for ((a, b), c) in operands.zip(scores[1].chunks_mut(n * keys)) {
            gemm_batch_invariant(E::of(0.5), a, b, E::of(beta), MatMut::new(c, n, keys), Parallelism::Serial);
        }
        assert!(scores[0] == scores[1], "{n} {heads} {head_dim} {keys}");
        let mut outputs = [(); 2].map(|()| of(numbers(n * columns, 4)));
        let operands = (0..heads).map(|head| (Mat::new(&scores[0][head * n * keys..], n, keys), kv.columns(own(head))));
        gemm_batched(E::one(), operands.clone(), E::of(beta), &mut outputs[0], (head_dim, columns));
        for (head, (a, b)) in operands.enumerate() {
            let c = MatMut::strided(&mut outputs[1][head * head_dim..], n, head_dim, columns);
            gemm_batch_invariant(E::one(), a, b, E::of(beta), c, Parallelism::Serial);
        }
        assert!(outputs[0] == outputs[1], "{n} {heads} {head_dim} {keys}");
    }

    #[test]
    fn each_has_the_bits_that_it_has_alone() {
        for (n, heads, head_dim, keys) in [(1, 8, 64, 25), (5, 3, 64, 32), (16, 1, 20, 32), (1, 4, 3, 1), (2, 2, 7, 33)]
        {
            for beta in [0.0, 1.0] {
                check::<f32>(n, heads, head_dim, keys, beta);
                check::<f64>(n, heads, head_dim, keys, beta);
            }
        }
    }

    #[test]
    #[should_panic(expected = "outside its slice")]
    fn it_does_not_write_past_the_end() {
        let x = [1.0; 4];
        let operands = [(Mat::new(&x, 2, 2), Mat::new(&x, 2, 2)); 2];
        gemm_batched(1.0, operands.into_iter(), 0.0, &mut [0.0; 7], (4, 2));
    }
}
