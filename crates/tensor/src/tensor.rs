use crate::{Buffer, DType, Element, Error, Result, Shape, aligned};

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

    /// A tensor of zeros.
    pub fn zeros(dtype: DType, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Self { shape, buffer: Buffer::zeros(dtype, shape.len()) }
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
