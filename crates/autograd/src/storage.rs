//! How a parameter lies in memory. Training has it row-major; for inference, matrices are packed, or in reduced precision.

use descant_kernels::{PackedMut, ReducedWeight, WeightType};
use descant_tensor::{Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// How a matrix is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageType {
    /// As it is trained.
    RowMajor,
    /// In panels, for the GEMMs of inference.
    Packed,
    /// In reduced precision, row-major.
    Reduced(WeightType),
}

/// Where the values of a parameter are.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    /// In the buffer, row-major.
    RowMajor,
    /// In the buffer, packed.
    Packed(FullCopy),
    /// In the buffer there are none.
    Reduced(Arc<ReducedWeight>, FullCopy),
}

/// The values row-major and in full precision, once something has read them.
pub(crate) type FullCopy = Arc<OnceLock<Arc<Tensor>>>;

/// The values of a parameter, to be read from a file.
#[derive(Debug)]
pub enum ValuesMut<'a> {
    /// Row-major.
    RowMajor(&'a mut [f32]),
    /// To be packed.
    Packed(PackedMut<'a>),
}

impl Storage {
    /// Elements that a parameter of this shape takes in the buffer.
    pub(crate) fn elements(&self, shape: Shape) -> usize {
        match (self, matrix(shape)) {
            (Self::Reduced(..), _) => 0,
            (Self::Packed(_), Some([rows, columns])) => PackedMut::len_of(rows, columns),
            _ => shape.len(),
        }
    }

    pub(crate) fn storage_type(&self) -> StorageType {
        match self {
            Self::RowMajor => StorageType::RowMajor,
            Self::Packed(_) => StorageType::Packed,
            Self::Reduced(weight, _) => StorageType::Reduced(weight.weight_type()),
        }
    }
}

/// Rows and columns.
pub(crate) fn matrix(shape: Shape) -> Option<[usize; 2]> {
    <[usize; 2]>::try_from(shape.dims()).ok()
}
