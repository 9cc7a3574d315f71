use crate::{Aligned, Buffer, DType, Element, Error, Result, Shape, aligned};

/// A contiguous row-major tensor that stands on its own: what goes into a graph and what is read out of one.
#[derive(Clone, Debug)]
pub struct Tensor {
    shape: Shape,
    buffer: Buffer,
}

impl Tensor {
    /// A tensor of these elements in row-major order.
    ///
    /// # Errors
    /// [`Error::Length`] where their number is not that of the shape.
    pub fn new<E: Element>(shape: impl Into<Shape>, elements: &[E]) -> Result<Self> {
        let shape = shape.into();
        if shape.len() != elements.len() {
            return Err(Error::Length { shape, length: elements.len() });
        }
        let mut buffer = aligned(elements.len());
        buffer.copy_from_slice(elements);
        Ok(Self { shape, buffer: E::wrap(buffer) })
    }

    /// Becomes a tensor of these elements, in the memory that it has where that suffices and is of their type.
    ///
    /// # Errors
    /// [`Error::Length`] where their number is not that of the shape: it stays as it is.
    pub fn assign<E: Element>(&mut self, shape: impl Into<Shape>, elements: &[E]) -> Result<()> {
        let shape = shape.into();
        if shape.len() != elements.len() {
            return Err(Error::Length { shape, length: elements.len() });
        }
        let empty = std::mem::replace(&mut self.buffer, E::wrap(aligned(0)));
        let mut own = if empty.dtype() == E::DTYPE { E::unwrap(empty) } else { aligned(0) };
        own.resize(elements.len(), E::zero());
        own.copy_from_slice(elements);
        (self.shape, self.buffer) = (shape, E::wrap(own));
        Ok(())
    }

    /// A tensor of zeros.
    pub fn zeros(dtype: DType, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Self { shape, buffer: Buffer::zeros(dtype, shape.len()) }
    }

    /// A tensor of ones.
    pub fn ones(dtype: DType, shape: impl Into<Shape>) -> Self {
        let mut ones = Self::zeros(dtype, shape);
        match &mut ones.buffer {
            Buffer::F32(elements) => elements.fill(1.0),
            Buffer::F64(elements) => elements.fill(1.0),
        }
        ones
    }

    /// The lengths of its axes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The type of its elements.
    pub fn dtype(&self) -> DType {
        self.buffer.dtype()
    }

    /// Its elements, as they are stored.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// Its elements in double precision, whatever their type.
    pub fn to_f64(&self) -> Vec<f64> {
        self.buffer.to_f64(0..self.shape.len())
    }

    /// Its elements in single precision, whatever their type.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.buffer {
            Buffer::F32(elements) => elements.to_vec(),
            Buffer::F64(elements) => elements.iter().map(|&x| x as f32).collect(),
        }
    }

    /// The only element of a tensor of one element.
    pub fn item(&self) -> Option<f64> {
        (self.shape.len() == 1).then(|| self.to_f64()[0])
    }

    /// Sets a range of its elements to zero.
    pub fn clear_range(&mut self, range: std::ops::Range<usize>) {
        self.buffer.clear_range(range);
    }

    /// Rows `indices` of the first axis, some perhaps several times.
    ///
    /// # Panics
    /// For an index that is not below the first length.
    pub fn select_rows(&self, indices: &[usize]) -> Self {
        let first = self.shape.dims().first().copied().unwrap_or(1);
        let width = self.shape.len().checked_div(first).unwrap_or(0);
        fn copy<E: Copy>(from: &[E], to: &mut [E], indices: &[usize], width: usize) {
            for (to, &i) in to.chunks_exact_mut(width.max(1)).zip(indices) {
                to.copy_from_slice(&from[i * width..][..width]);
            }
        }
        let mut selected = Self::zeros(self.dtype(), self.shape.with_first(indices.len()));
        match (&self.buffer, &mut selected.buffer) {
            (Buffer::F32(from), Buffer::F32(to)) => copy(from, to, indices, width),
            (Buffer::F64(from), Buffer::F64(to)) => copy(from, to, indices, width),
            (from, to) => unreachable!("{} rows copied to {}", from.dtype(), to.dtype()),
        }
        selected
    }

    /// The same in the memory that it has, where that suffices.
    ///
    /// # Panics
    /// As [`Tensor::select_rows`].
    pub fn keep_rows(&mut self, indices: &[usize]) {
        let first = self.shape.dims().first().copied().unwrap_or(1);
        let width = self.shape.len().checked_div(first).unwrap_or(0);
        // Behind those that there are, as none may be overwritten that another one needs.
        fn keep<E: Element>(own: &mut Aligned<E>, indices: &[usize], width: usize) {
            let (before, kept) = (own.len(), indices.len() * width);
            own.resize(before + kept, E::zero());
            for (place, &i) in indices.iter().enumerate() {
                assert!((i + 1) * width <= before, "row {i} of {}", before / width.max(1));
                own.copy_within(i * width..(i + 1) * width, before + place * width);
            }
            own.copy_within(before.., 0);
            own.truncate(kept);
        }
        match &mut self.buffer {
            Buffer::F32(own) => keep(own, indices, width),
            Buffer::F64(own) => keep(own, indices, width),
        }
        self.shape = self.shape.with_first(indices.len());
    }

    /// Appends the rows of another tensor of the same type, whose axes but the first are as long.
    ///
    /// # Panics
    /// For another type or other axes.
    pub fn append_rows(&mut self, other: &Self) {
        let [first, of_other] = [&*self, other].map(|tensor| tensor.shape.dims().first().copied().unwrap_or(1));
        let shape = self.shape.with_first(first + of_other);
        assert_eq!(shape.len(), self.shape.len() + other.shape.len(), "{} rows and {}", self.shape, other.shape);
        fn join<E: Element>(own: &[E], other: &[E]) -> Buffer {
            let mut joined = aligned(own.len() + other.len());
            joined[..own.len()].copy_from_slice(own);
            joined[own.len()..].copy_from_slice(other);
            E::wrap(joined)
        }
        self.buffer = match (&self.buffer, &other.buffer) {
            (Buffer::F32(own), Buffer::F32(other)) => join(own, other),
            (Buffer::F64(own), Buffer::F64(other)) => join(own, other),
            (own, other) => unreachable!("{} rows appended to {}", other.dtype(), own.dtype()),
        };
        self.shape = shape;
    }

    /// The same elements in another type.
    pub fn cast(&self, dtype: DType) -> Self {
        let mut cast = Self::zeros(dtype, self.shape);
        match (&self.buffer, &mut cast.buffer) {
            (Buffer::F32(x), Buffer::F32(y)) => y.copy_from_slice(x),
            (Buffer::F64(x), Buffer::F64(y)) => y.copy_from_slice(x),
            (Buffer::F32(x), Buffer::F64(y)) => y.iter_mut().zip(x.iter()).for_each(|(y, &x)| *y = f64::from(x)),
            (Buffer::F64(x), Buffer::F32(y)) => y.iter_mut().zip(x.iter()).for_each(|(y, &x)| *y = x as f32),
        }
        cast
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_and_elements_replaced_in_the_same_memory() {
        let mut tensor = Tensor::new([4, 2], &[0.0_f32, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]).unwrap();
        for indices in [&[3, 1, 1, 0][..], &[2, 3], &[0, 1, 0, 0, 1], &[4], &[]] {
            let expected = tensor.select_rows(indices);
            tensor.keep_rows(indices);
            assert_eq!((tensor.shape(), tensor.to_f64()), (expected.shape(), expected.to_f64()));
        }
        let place = |tensor: &Tensor| f32::slice(tensor.buffer()).as_ptr();
        tensor.assign([2, 3], &[1.0_f32; 6]).unwrap();
        let before = place(&tensor);
        tensor.assign([1, 3], &[7.0_f32, 8.0, 9.0]).unwrap();
        assert_eq!(
            (tensor.shape(), tensor.to_f64(), place(&tensor)),
            (Shape::from([1, 3]), vec![7.0, 8.0, 9.0], before)
        );
        assert!(tensor.assign([2, 3], &[0.0_f32]).is_err());
        tensor.assign([1], &[0.25_f64]).unwrap();
        assert_eq!((tensor.dtype(), tensor.to_f64()), (DType::F64, vec![0.25]));
    }
}
