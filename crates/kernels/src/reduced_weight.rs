//! Weights of linear layers in reduced precision, for inference: bfloat16; int8 with a scale for each row; 4-bit in groups of 32 with a
//! scale each, as GGUF's Q4_0 has them.

use crate::bf16;
use crate::elementwise::vectorized;
use crate::int8_quantization::{CLEAR_OF_OVERFLOW, quantize_row, row_scale};
use crate::q4_quantization::{self, BLOCK, BLOCK_BYTES};
use descant_tensor::{Aligned, Element, aligned};
use half::f16;
use rayon::prelude::*;
use std::fmt;
use std::ops::Range;

/// The precision of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightType {
    /// The upper half of f32.
    Bf16,
    /// 8 bits, and a scale for each row, which half precision holds: so a block of GGUF's Q8_0 has the same numbers.
    Int8,
    /// 4 bits, and a scale in half precision for each 32 elements of a row: GGUF's Q4_0.
    Q4,
}

impl WeightType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bf16, Self::Int8, Self::Q4];

    /// Its name in files and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Q4 => "q4",
        }
    }

    /// The type of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|weight_type| weight_type.name() == name)
    }

    /// Bytes of the elements of a row, without its scales.
    pub fn row_bytes(self, columns: usize) -> usize {
        match self {
            Self::Bf16 => 2 * columns,
            Self::Int8 => columns,
            Self::Q4 => BLOCK_BYTES * columns.div_ceil(BLOCK),
        }
    }

    /// How many scales a row has.
    pub fn row_scales(self, columns: usize) -> usize {
        match self {
            Self::Bf16 => 0,
            Self::Int8 => 1,
            Self::Q4 => columns.div_ceil(BLOCK),
        }
    }

    /// Bytes from one row to the next in memory, where rows begin on cache lines. Those of Q4 follow each other.
    fn stride(self, columns: usize) -> usize {
        match self {
            Self::Bf16 | Self::Int8 => self.row_bytes(columns).next_multiple_of(64),
            Self::Q4 => self.row_bytes(columns),
        }
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A weight `W[O, I]` in reduced precision, row-major. What pads a row is zero.
#[derive(Clone, Debug)]
pub struct ReducedWeight {
    weight_type: WeightType,
    rows: usize,
    columns: usize,
    /// The rows, a stride apart.
    elements: Aligned<u8>,
    /// Scales in half precision, row by row.
    scales: Vec<u16>,
    /// Those of int8 in f32, as kernels read them.
    row_scales: Vec<f32>,
    /// The sum of each row of int8, for kernels that shift their activations to be positive.
    sums: Vec<i32>,
}

/// Some rows of a [`ReducedWeight`].
#[derive(Clone, Copy, Debug)]
pub struct ReducedRows<'a> {
    pub(crate) weight_type: WeightType,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) elements: &'a [u8],
    /// Bytes from one row to the next.
    pub(crate) stride: usize,
    pub(crate) scales: &'a [u16],
    pub(crate) row_scales: &'a [f32],
    pub(crate) sums: &'a [i32],
}

impl ReducedWeight {
    /// A weight of zeros.
    pub fn zeros(weight_type: WeightType, rows: usize, columns: usize) -> Self {
        let elements = match weight_type {
            // Two elements of value zero.
            WeightType::Q4 => aligned::<u8>(0),
            _ => aligned(rows * weight_type.stride(columns)),
        };
        let mut weight = Self {
            weight_type,
            rows,
            columns,
            elements,
            scales: vec![0; rows * weight_type.row_scales(columns)],
            row_scales: vec![0.0; if weight_type == WeightType::Int8 { rows } else { 0 }],
            sums: vec![0; if weight_type == WeightType::Int8 { rows } else { 0 }],
        };
        if weight_type == WeightType::Q4 {
            weight.elements.resize(rows * weight_type.stride(columns), q4_quantization::ZEROS);
        }
        weight
    }

    /// The weight of these elements in row-major order, rounded to the nearest of its type, on the threads of rayon's pool.
    ///
    /// # Errors
    /// Why it has none of this type, in words: an element is no number or too large, or rows are too long for exact sums.
    pub fn quantized(weight_type: WeightType, values: &[f32], columns: usize) -> Result<Self, String> {
        let rows = values.len().checked_div(columns).unwrap_or(0);
        let mut weight = Self::zeros(weight_type, rows, columns);
        weight.quantize_rows(0, values)?;
        Ok(weight)
    }

    /// Sets some rows from `first` on, rounded to the nearest elements of the type.
    ///
    /// # Errors
    /// As [`ReducedWeight::quantized`].
    pub fn quantize_rows(&mut self, first: usize, values: &[f32]) -> Result<(), String> {
        let (weight_type, columns, stride) = (self.weight_type, self.columns, self.stride());
        if columns == 0 {
            return Ok(());
        }
        if weight_type == WeightType::Int8 && columns >= CLEAR_OF_OVERFLOW {
            return Err(format!("its rows of {columns} elements are too long for exact sums of int8"));
        }
        let (rows, scales) = (values.len() / columns, weight_type.row_scales(columns));
        let elements = self.elements[first * stride..][..rows * stride].par_chunks_mut(stride);
        let values = values.par_chunks(columns);
        if weight_type == WeightType::Bf16 {
            elements
                .zip(values)
                .for_each(|(to, from)| bf16::round(from, bytemuck::cast_slice_mut(&mut to[..2 * columns])));
            return Ok(());
        }
        let scales = self.scales[first * scales..][..rows * scales].par_chunks_mut(scales);
        elements.zip(values).zip(scales).try_for_each(|((to, from), scales)| match weight_type {
            WeightType::Q4 => q4_quantization::quantize(from, to, scales),
            _ => {
                let scale = row_scale(from)?;
                scales[0] = scale.to_bits();
                quantize_row(from, scale.to_f32(), bytemuck::cast_slice_mut(to));
                Ok(())
            }
        })?;
        self.sum_rows(first..first + rows);
        self.widen_scales(first..first + rows);
        Ok(())
    }

    /// Sets the elements of some rows from `first` on, as [`ReducedRows::bytes`] has them.
    pub fn set_bytes(&mut self, first: usize, bytes: &[u8]) {
        let (row, stride) = (self.weight_type.row_bytes(self.columns), self.stride());
        let rows = self.elements[first * stride..].chunks_exact_mut(stride.max(1));
        rows.zip(bytes.chunks_exact(row.max(1))).for_each(|(to, from)| to[..row].copy_from_slice(from));
        self.sum_rows(first..first + bytes.len() / row.max(1));
    }

    /// Sets the scales of all rows.
    ///
    /// # Errors
    /// Which of them is no number, or that there are others than needed.
    pub fn set_scales(&mut self, scales: &[f16]) -> Result<(), String> {
        if scales.len() != self.scales.len() {
            return Err(format!("it has {} scales, where {} are needed", scales.len(), self.scales.len()));
        }
        let is_int8 = self.weight_type == WeightType::Int8;
        if let Some(wrong) = scales.iter().find(|scale| !scale.is_finite() || is_int8 && scale.is_sign_negative()) {
            return Err(format!("it has a scale of {wrong}"));
        }
        self.scales.iter_mut().zip(scales).for_each(|(to, from)| *to = from.to_bits());
        self.widen_scales(0..self.rows);
        Ok(())
    }

    fn widen_scales(&mut self, rows: Range<usize>) {
        if self.row_scales.is_empty() {
            return;
        }
        let scales = self.row_scales[rows.clone()].iter_mut().zip(&self.scales[rows]);
        scales.for_each(|(wide, &bits)| *wide = f16::from_bits(bits).to_f32());
    }

    fn sum_rows(&mut self, rows: Range<usize>) {
        let stride = self.stride();
        if self.sums.is_empty() || stride == 0 {
            return;
        }
        let elements = self.elements[rows.start * stride..rows.end * stride].par_chunks_exact(stride);
        self.sums[rows].par_iter_mut().zip(elements).for_each(|(sum, row)| {
            let row: &[i8] = bytemuck::cast_slice(row);
            *sum = vectorized(
                #[inline(always)]
                || row.iter().map(|&x| i32::from(x)).sum(),
            );
        });
    }

    fn stride(&self) -> usize {
        self.weight_type.stride(self.columns)
    }

    /// Its precision.
    pub fn weight_type(&self) -> WeightType {
        self.weight_type
    }

    /// Bytes that it takes, scales included.
    pub fn size(&self) -> usize {
        self.elements.len() + 2 * self.scales.len()
    }

    /// All its rows.
    pub fn all(&self) -> ReducedRows<'_> {
        ReducedRows {
            weight_type: self.weight_type,
            rows: self.rows,
            columns: self.columns,
            elements: &self.elements,
            stride: self.stride(),
            scales: &self.scales,
            row_scales: &self.row_scales,
            sums: &self.sums,
        }
    }

    /// Some of its rows.
    pub fn rows(&self, rows: Range<usize>) -> ReducedRows<'_> {
        self.all().rows(rows)
    }
}

impl<'a> ReducedRows<'a> {
    /// Some of them.
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let (stride, scales) = (self.stride, self.weight_type.row_scales(self.columns));
        Self {
            rows: rows.len(),
            elements: &self.elements[rows.start * stride..rows.end * stride],
            scales: &self.scales[rows.start * scales..rows.end * scales],
            row_scales: if self.row_scales.is_empty() { &[] } else { &self.row_scales[rows.clone()] },
            sums: if self.sums.is_empty() { &[] } else { &self.sums[rows] },
            ..*self
        }
    }

    /// Their number.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The length of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The bytes of a row's elements: bfloat16 or int8 one after the other; of Q4, for each 32 elements 16 bytes, of which byte `i` has
    /// element `i` in its lower and element `16 + i` in its upper half, each 8 larger than it is.
    pub fn bytes(&self, row: usize) -> &'a [u8] {
        &self.elements[row * self.stride..][..self.weight_type.row_bytes(self.columns)]
    }

    /// The scales of a row.
    pub fn scales(&self, row: usize) -> impl ExactSizeIterator<Item = f16> + use<'a> {
        let n = self.weight_type.row_scales(self.columns);
        self.scales[row * n..][..n].iter().map(|&bits| f16::from_bits(bits))
    }

    /// Writes the values of a row.
    pub fn dequantize<E: Element>(&self, row: usize, values: &mut [E]) {
        let bytes = self.bytes(row);
        let of = |value: f32| E::of(f64::from(value));
        match self.weight_type {
            WeightType::Bf16 => {
                let widened = |pair: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*pair)) << 16);
                values.iter_mut().zip(bytes.as_chunks().0).for_each(|(value, pair)| *value = of(widened(pair)));
            }
            WeightType::Int8 => {
                let scale = self.scales(row).next().unwrap_or_default().to_f32();
                values.iter_mut().zip(bytes).for_each(|(value, &x)| *value = of(scale * f32::from(x as i8)));
            }
            WeightType::Q4 => {
                for ((values, block), scale) in values.chunks_mut(BLOCK).zip(bytes.as_chunks().0).zip(self.scales(row))
                {
                    let block = q4_quantization::elements(block);
                    values.iter_mut().zip(block).for_each(|(value, x)| *value = of(scale.to_f32() * f32::from(x)));
                }
            }
        }
    }
}
