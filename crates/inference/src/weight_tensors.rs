//! The tensors of weights in a file. A weight in reduced precision is two: its elements under the parameter's name, row by row as
//! [`ReducedRows::bytes`] has them, and its scales under `NAME.scales`; in bfloat16 it is one.

use descant_autograd::Parameters;
use descant_kernels::{ReducedRows, WeightType};
use descant_tensor::Buffer;
use half::f16;
use safetensors::tensor::Dtype;
use std::borrow::Cow;
use std::ops::Range;

/// What a parameter's scales are called.
pub(crate) const SCALES: &str = ".scales";

/// A tensor to write.
pub(crate) struct Part<'a> {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Cow<'a, [u8]>,
}

impl<'a> Part<'a> {
    /// Some elements of a buffer.
    pub(crate) fn of(name: &str, shape: Vec<usize>, buffer: &'a Buffer, range: Range<usize>) -> Self {
        let (dtype, bytes) = match buffer {
            Buffer::F32(elements) => (Dtype::F32, bytemuck::cast_slice(&elements[range])),
            Buffer::F64(elements) => (Dtype::F64, bytemuck::cast_slice(&elements[range])),
        };
        Self { name: name.to_owned(), dtype, shape, bytes: Cow::Borrowed(bytes) }
    }
}

/// The tensors of some parameters.
pub(crate) fn parts(parameters: &Parameters) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for id in parameters.ids() {
        let (name, shape) = (parameters.name(id), parameters.shape(id).dims().to_vec());
        let Some(weight) = parameters.reduced(id) else {
            parts.push(match parameters.is_row_major(id) {
                true => Part::of(name, shape, parameters.buffer(), parameters.range(id)),
                false => {
                    let bytes = bytemuck::cast_slice(&parameters.tensor(id).to_f32()).to_vec();
                    Part { name: name.to_owned(), dtype: Dtype::F32, shape, bytes: Cow::Owned(bytes) }
                }
            });
            continue;
        };
        let (rows, weight_type) = (weight.all(), weight.weight_type());
        let bytes = (0..rows.len()).flat_map(|row| rows.bytes(row)).collect();
        let shape = stored_shape(weight_type, &rows);
        parts.push(Part { name: name.to_owned(), dtype: stored_type(weight_type), shape, bytes: Cow::Owned(bytes) });
        if let Some(shape) = scales_shape(weight_type, &rows) {
            let scales = (0..rows.len()).flat_map(|row| rows.scales(row)).flat_map(f16::to_le_bytes).collect();
            let name = format!("{name}{SCALES}");
            parts.push(Part { name, dtype: Dtype::F16, shape, bytes: Cow::Owned(scales) });
        }
    }
    parts
}

pub(crate) fn stored_type(weight_type: WeightType) -> Dtype {
    match weight_type {
        WeightType::Bf16 => Dtype::BF16,
        WeightType::Int8 => Dtype::I8,
        WeightType::Q4 => Dtype::U8,
    }
}

pub(crate) fn stored_shape(weight_type: WeightType, rows: &ReducedRows<'_>) -> Vec<usize> {
    match weight_type {
        WeightType::Q4 => vec![rows.len(), weight_type.row_bytes(rows.columns())],
        _ => vec![rows.len(), rows.columns()],
    }
}

pub(crate) fn scales_shape(weight_type: WeightType, rows: &ReducedRows<'_>) -> Option<Vec<usize>> {
    match weight_type {
        WeightType::Bf16 => None,
        WeightType::Int8 => Some(vec![rows.len()]),
        WeightType::Q4 => Some(vec![rows.len(), weight_type.row_scales(rows.columns())]),
    }
}
