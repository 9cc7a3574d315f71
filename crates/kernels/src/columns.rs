//! The result of a GEMM whose columns are shared out to threads.

use crate::mat::MatMut;
use crate::prefetch::fetch;
use crate::real::Real;
use descant_tensor::DType;
use std::marker::PhantomData;
use std::ops::Range;

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
    ///
    /// # Safety
    /// The element must be one of the `MatMut` that this was made from, and of the columns of this thread alone.
    #[inline(always)]
    pub(crate) unsafe fn put(self, row: usize, column: usize, goes_on: bool, sum: E) {
        // SAFETY: the caller's; the slice of the `MatMut` holds every element of it.
        unsafe {
            let element = self.start.add(row * self.row_stride + column);
            let (sum, beta) = (self.alpha * sum, if goes_on { E::one() } else { self.beta });
            *element = if beta == E::zero() { sum } else { beta * *element + sum };
        }
    }

    /// The same for elements of a row that follow each other.
    ///
    /// # Safety
    /// As of [`put`](Self::put), for each of them.
    #[inline(always)]
    pub(crate) unsafe fn put_all(self, row: usize, first: usize, goes_on: bool, sums: &[E]) {
        // SAFETY: the caller's.
        let elements = unsafe { self.row(row, first..first + sums.len()) };
        let beta = if goes_on { E::one() } else { self.beta };
        if beta == E::zero() {
            elements.iter_mut().zip(sums).for_each(|(element, &sum)| *element = self.alpha * sum);
        } else {
            elements.iter_mut().zip(sums).for_each(|(element, &sum)| *element = beta * *element + self.alpha * sum);
        }
    }

    /// Whether sums are added to what is there before, as they are: then they can go on from it.
    #[inline(always)]
    pub(crate) fn is_added_to(self) -> bool {
        self.alpha == E::one() && self.beta == E::one()
    }

    /// The same columns, whose elements become the sums.
    #[inline(always)]
    pub(crate) fn replaced(self) -> Self {
        Self { alpha: E::one(), beta: E::zero(), ..self }
    }

    /// The factor of what is there before.
    #[inline(always)]
    pub(crate) fn beta(self) -> E {
        self.beta
    }

    /// Fetches an element.
    #[inline(always)]
    pub(crate) fn fetch(self, row: usize, column: usize) {
        fetch(self.start.wrapping_add(row * self.row_stride + column).cast_const().cast());
    }

    /// Some elements of a row, to read and write.
    ///
    /// # Safety
    /// They must be of the `MatMut` that this was made from, and of the columns of this thread alone, and no other slice of them is there.
    #[inline(always)]
    pub(crate) unsafe fn row(self, row: usize, columns: Range<usize>) -> &'a mut [E] {
        // SAFETY: the caller's.
        unsafe {
            let start = self.start.add(row * self.row_stride + columns.start);
            std::slice::from_raw_parts_mut(start, columns.len())
        }
    }

    /// The same where `E` is f32.
    pub(crate) fn as_f32(self) -> Option<Columns<'a, f32>> {
        let Self { start, row_stride, alpha, beta, .. } = self;
        (E::DTYPE == DType::F32).then(|| Columns {
            start: start.cast(),
            row_stride,
            alpha: alpha.f64() as f32,
            beta: beta.f64() as f32,
            borrowed: PhantomData,
        })
    }
}
