//! A weight as an operation reads it.

use crate::context::Forward;
use descant_kernels::{
    GemmConfig, Mat, MatMut, PackedB, PackedRows, Real, ReducedRows, gemm_nt, gemm_packed, gemm_reduced,
};
use descant_tensor::Element;

/// A matrix that activations are multiplied with: `W[O, I]`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weight<'a, E> {
    RowMajor(&'a [E]),
    Stored(StoredWeight<'a>),
}

/// Some rows of a parameter that is stored for inference.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StoredWeight<'a> {
    Packed(PackedRows<'a>),
    Reduced(ReducedRows<'a>),
}

impl<'a, E: Real> Weight<'a, E> {
    /// `c = a Wᵀ`, with the scratch of [`gemm_nt`].
    pub(crate) fn gemm(self, a: Mat<'_, E>, c: MatMut<'_, E>, scratch: &mut [E], config: GemmConfig) {
        match self {
            Self::RowMajor(w) => gemm_nt(a, w, E::zero(), c, scratch, config),
            Self::Stored(w) => w.gemm(a, c, config),
        }
    }

    /// For many GEMMs with few rows: `W[O, I]` as a packed B.
    pub(crate) fn packed(self, [o, i]: [usize; 2], scratch: &'a mut [E], config: GemmConfig) -> PackedB<'a, E> {
        match self {
            Self::RowMajor(w) => PackedB::new(Mat::new(w, o, i).t(), scratch, config),
            Self::Stored(StoredWeight::Packed(w)) => PackedB::packed(w, config),
            Self::Stored(StoredWeight::Reduced(w)) => PackedB::reduced(w, config),
        }
    }
}

impl StoredWeight<'_> {
    /// `c = a Wᵀ`.
    pub(crate) fn gemm<E: Real>(self, a: Mat<'_, E>, c: MatMut<'_, E>, config: GemmConfig) {
        match self {
            Self::Packed(w) => gemm_packed(a, w, E::zero(), c, config.parallelism),
            Self::Reduced(w) => gemm_reduced(a, w, E::zero(), c, config.parallelism),
        }
    }

    /// Writes the values of a row.
    pub(crate) fn read_row<E: Element>(&self, row: usize, values: &mut [E]) {
        match self {
            Self::Packed(w) => values.iter_mut().zip(w.row(row)).for_each(|(value, x)| *value = E::of(x.into())),
            Self::Reduced(w) => w.dequantize(row, values),
        }
    }

    fn rows(self, first: usize, n: usize) -> Self {
        match self {
            Self::Packed(w) => Self::Packed(w.rows(first..first + n)),
            Self::Reduced(w) => Self::Reduced(w.rows(first..first + n)),
        }
    }
}

impl<'a, E: Real> Forward<'a, E> {
    /// Input `i`, which is a matrix.
    pub(crate) fn weight(&self, i: usize) -> Weight<'a, E> {
        let (node, shape) = (&self.nodes[self.inputs[i] as usize], self.shape(i));
        let root = &self.nodes[node.root as usize];
        match root.parameter.and_then(|id| self.parameters.stored_weight(id)) {
            Some(weight) => Weight::Stored(weight.rows(node.start / shape.last().max(1), shape[0])),
            None => Weight::RowMajor(self.input(i)),
        }
    }
}
