//! One parameter in reduced precision.

use descant_kernels::ReducedWeight;
use descant_tensor::{DType, Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// A parameter in reduced precision.
#[derive(Debug)]
pub(crate) struct ReducedParameter {
    pub(crate) weight: ReducedWeight,
    /// Its values in full precision, once something has read them.
    full: OnceLock<Arc<Tensor>>,
}

impl ReducedParameter {
    pub(crate) fn new(weight: ReducedWeight) -> Self {
        Self { weight, full: OnceLock::new() }
    }

    /// The weight, to write: what was read of it before is not kept.
    pub(crate) fn weight_mut(&mut self) -> &mut ReducedWeight {
        self.full = OnceLock::new();
        &mut self.weight
    }

    /// All its values in full precision.
    pub(crate) fn full(&self, shape: Shape) -> Arc<Tensor> {
        self.full.get_or_init(|| Arc::new(dequantized(&self.weight, shape))).clone()
    }
}

/// The values of a weight.
pub(crate) fn dequantized(weight: &ReducedWeight, shape: Shape) -> Tensor {
    let mut values = vec![0.0_f32; shape.len()];
    let rows = weight.all();
    values.chunks_exact_mut(shape.last().max(1)).enumerate().for_each(|(row, values)| rows.dequantize(row, values));
    Tensor::new(shape, &values).unwrap_or_else(|_| Tensor::zeros(DType::F32, shape))
}
