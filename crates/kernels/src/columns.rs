//! The result of a GEMM whose columns are shared out to threads.

use crate::mat::MatMut;
use crate::real::Real;
use std::marker::PhantomData;

/// Where threads write `α A B`, each to columns of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'a, E> {
    start: *mut E,
    row_stride: usize,
    alpha: E,
    beta: E,
    borrowed: PhantomData<&'a mut [E]>,
}

// SAFETY: it stands for a mutable slice of elements that are `Send`; whoever copies it keeps the columns apart.
unsafe impl<E: Send> Send for Columns<'_, E> {}
// SAFETY: as above.
unsafe impl<E: Send> Sync for Columns<'_, E> {}

impl<'a, E: Real> Columns<'a, E> {
    pub(crate) fn new(alpha: E, beta: E, c: MatMut<'a, E>) -> Self {
        Self { start: c.data.as_mut_ptr(), row_stride: c.row_stride, alpha, beta, borrowed: PhantomData }
    }

    /// `c = beta c + alpha sum` for one element, or `c = c + alpha sum` where it goes on.
    #[inline(always)]
    pub(crate) fn put(self, row: usize, column: usize, goes_on: bool, sum: E) {
        // SAFETY: `row` and `column` are below those of the `MatMut` that `self` was made from, whose slice holds every such
        // element, and the ranges of columns that the threads were given are disjoint.
        unsafe {
            let element = self.start.add(row * self.row_stride + column);
            let (sum, beta) = (self.alpha * sum, if goes_on { E::one() } else { self.beta });
            *element = if beta == E::zero() { sum } else { beta * *element + sum };
        }
    }

    /// The same where `E` is f32.
    pub(crate) fn as_f32(self) -> Columns<'a, f32> {
        let Self { start, row_stride, alpha, beta, .. } = self;
        Columns {
            start: start.cast(),
            row_stride,
            alpha: alpha.f64() as f32,
            beta: beta.f64() as f32,
            borrowed: PhantomData,
        }
    }
}
