//! A weight as an operation reads it.

use crate::context::Forward;
use descant_kernels::{GemmConfig, Mat, MatMut, PackedB, Real, ReducedRows, gemm_nt, gemm_reduced};

/// A matrix that activations are multiplied with: `W[O, I]`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weight<'a, E> {
    Full(&'a [E]),
    Reduced(ReducedRows<'a>),
}

impl<'a, E: Real> Weight<'a, E> {
    /// `c = a Wᵀ`, with the scratch of [`gemm_nt`].
    pub(crate) fn gemm(self, a: Mat<'_, E>, c: MatMut<'_, E>, scratch: &mut [E], config: GemmConfig) {
        match self {
            Self::Full(w) => gemm_nt(a, w, E::zero(), c, scratch, config),
            Self::Reduced(w) => gemm_reduced(a, w, E::zero(), c, config.parallelism),
        }
    }

    /// For many GEMMs with few rows: `W[O, I]` as a packed B.
    pub(crate) fn packed(self, [o, i]: [usize; 2], scratch: &'a mut [E], config: GemmConfig) -> PackedB<'a, E> {
        match self {
            Self::Full(w) => PackedB::new(Mat::new(w, o, i).t(), scratch, config),
            Self::Reduced(w) => PackedB::reduced(w, config),
        }
    }
}

impl<'a, E: Real> Forward<'a, E> {
    /// Input `i`, which is a matrix.
    pub(crate) fn weight(&self, i: usize) -> Weight<'a, E> {
        let (node, shape) = (&self.nodes[self.inputs[i] as usize], self.shape(i));
        let root = &self.nodes[node.root as usize];
        match root.parameter.and_then(|id| self.parameters.reduced(id)) {
            Some(weight) => {
                let first = node.start / shape.last().max(1);
                Weight::Reduced(weight.rows(first..first + shape[0]))
            }
            None => Weight::Full(self.input(i)),
        }
    }
}
