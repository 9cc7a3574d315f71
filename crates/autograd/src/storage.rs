//! How a parameter lies in memory. Training has it row-major; for inference, matrices are packed, or in reduced precision.

use crate::input_terms::InputTerms;
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
    /// In reduced precision, in panels as well.
    Reduced(WeightType),
}

/// Where the values of a parameter are.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    /// In the buffer, row-major.
    RowMajor,
    /// In the buffer, packed.
    Packed(Arc<Derived>),
    /// In the buffer there are none.
    Reduced(Arc<ReducedWeight>, Arc<Derived>),
}

/// What is computed from the values where it is first read, and kept.
#[derive(Debug, Default)]
pub(crate) struct Derived {
    /// Row-major and in full precision.
    pub(crate) full: OnceLock<Arc<Tensor>>,
    /// Of a recurrent layer's `Wᵢₕ`.
    pub(crate) input_terms: OnceLock<InputTerms>,
}

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

    /// Not of row-major values, which training may change at any time.
    pub(crate) fn derived(&self) -> Option<&Derived> {
        match self {
            Self::RowMajor => None,
            Self::Packed(derived) | Self::Reduced(_, derived) => Some(derived),
        }
    }

    /// Drops what is derived from the values: they, or others that it was computed with, are about to change.
    pub(crate) fn drop_derived(&mut self) {
        if let Self::Packed(derived) | Self::Reduced(_, derived) = self {
            *derived = Arc::default();
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
