use crate::aligned::{Aligned, aligned};
use crate::dtype::DType;

/// Elements of a type that is known at run time.
#[derive(Clone, Debug)]
pub enum Buffer {
    /// 32-bit elements.
    F32(Aligned<f32>),
    /// 64-bit elements.
    F64(Aligned<f64>),
}

impl Buffer {
    /// `len` zeros.
    pub fn zeros(dtype: DType, len: usize) -> Self {
        match dtype {
            DType::F32 => Self::F32(aligned(len)),
            DType::F64 => Self::F64(aligned(len)),
        }
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F64(_) => DType::F64,
        }
    }

    /// How many elements it holds.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(elements) => elements.len(),
            Self::F64(elements) => elements.len(),
        }
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets every element to zero.
    pub fn clear(&mut self) {
        self.clear_range(0..self.len());
    }

    /// Sets the elements of `range` to zero.
    pub fn clear_range(&mut self, range: std::ops::Range<usize>) {
        match self {
            Self::F32(elements) => elements[range].fill(0.0),
            Self::F64(elements) => elements[range].fill(0.0),
        }
    }

    /// Whether no element of `range` is infinite or not a number.
    pub fn is_finite(&self, range: std::ops::Range<usize>) -> bool {
        match self {
            Self::F32(elements) => elements[range].iter().all(|x| x.is_finite()),
            Self::F64(elements) => elements[range].iter().all(|x| x.is_finite()),
        }
    }

    /// The elements `range` in double precision, whatever their type.
    pub fn to_f64(&self, range: std::ops::Range<usize>) -> Vec<f64> {
        match self {
            Self::F32(elements) => elements[range].iter().map(|&x| f64::from(x)).collect(),
            Self::F64(elements) => elements[range].to_vec(),
        }
    }
}
