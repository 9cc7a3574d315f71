//! Weights of linear layers in reduced precision, for inference: bfloat16; int8 with a scale for each row; 4-bit in groups of 32 with a
//! scale each, as GGUF's Q4_0 has them.

use crate::bf16;
use crate::huge_pages::advise_huge_pages;
use crate::int8_quantization::{CLEAR_OF_OVERFLOW, quantize_row, row_scale};
use crate::panel_weight::{PANEL, PanelWeight};
use crate::q4_quantization::{self, BLOCK, BLOCK_BYTES};
use descant_tensor::{Aligned, Element, aligned};
use half::f16;
use pulp::Simd;
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
    #[inline]
    pub fn row_bytes(self, columns: usize) -> usize {
        match self {
            Self::Bf16 => 2 * columns,
            Self::Int8 => columns,
            Self::Q4 => BLOCK_BYTES * columns.div_ceil(BLOCK),
        }
    }

    /// How many scales a row has.
    #[inline]
    pub fn row_scales(self, columns: usize) -> usize {
        match self {
            Self::Bf16 => 0,
            Self::Int8 => 1,
            Self::Q4 => columns.div_ceil(BLOCK),
        }
    }

    /// Units of a row.
    #[inline]
    fn row_units(self, columns: usize) -> usize {
        self.row_bytes(columns).div_ceil(size_of::<u32>())
    }

    /// Units of a panel with its scales, in whole cache lines.
    #[inline]
    fn panel_units(self, columns: usize) -> usize {
        let scales = match self {
            Self::Bf16 => 0,
            Self::Int8 => PANEL,
            Self::Q4 => PANEL / 2 * self.row_scales(columns),
        };
        (PANEL * self.row_units(columns) + scales).next_multiple_of(PANEL)
    }

    /// What is flipped in each unit: so an int8 element is 128 larger and has no sign, as the instructions for dot products take it.
    fn flipped(self) -> u32 {
        match self {
            Self::Int8 => 0x8080_8080,
            Self::Bf16 | Self::Q4 => 0,
        }
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A weight `W[O, I]` in reduced precision: panels of 16 rows, which lie interleaved in units of four bytes, so that a cache line has one
/// unit of each. A unit is two elements of bfloat16, four of int8 or eight of 4 bits. A panel ends with the scales of its rows: of int8
/// one for each, in f32; of 4 bits those of the first blocks, then those of the second ones, and so on, in half precision.
#[derive(Clone, Debug)]
pub struct ReducedWeight {
    weight_type: WeightType,
    rows: usize,
    columns: usize,
    panels: Aligned<u32>,
}

/// Some rows of a [`ReducedWeight`].
#[derive(Clone, Copy, Debug)]
pub struct ReducedRows<'a> {
    weight: &'a ReducedWeight,
    /// The first one, of the panels' rows.
    pub(crate) first: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl ReducedWeight {
    /// A weight of zeros.
    pub fn zeros(weight_type: WeightType, rows: usize, columns: usize) -> Self {
        let mut panels = aligned(rows.div_ceil(PANEL) * weight_type.panel_units(columns));
        advise_huge_pages(&mut panels);
        let zero = match weight_type {
            WeightType::Q4 => u32::from_le_bytes([q4_quantization::ZEROS; 4]),
            WeightType::Bf16 | WeightType::Int8 => weight_type.flipped(),
        };
        let units = PANEL * weight_type.row_units(columns);
        let of_panel = weight_type.panel_units(columns).max(1);
        panels.chunks_exact_mut(of_panel).for_each(|panel: &mut [u32]| panel[..units].fill(zero));
        Self { weight_type, rows, columns, panels }
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
        let (weight_type, columns) = (self.weight_type, self.columns);
        if columns == 0 {
            return Ok(());
        }
        if weight_type == WeightType::Int8 && columns >= CLEAR_OF_OVERFLOW {
            return Err(format!("its rows of {columns} elements are too long for exact sums of int8"));
        }
        self.panels_of(first..first + values.len() / columns).try_for_each(|mut panel| {
            let mut bytes = vec![0; weight_type.row_bytes(columns)];
            let mut scales = vec![0; weight_type.row_scales(columns)];
            for row in panel.rows.clone() {
                let values = &values[(row - first) * columns..][..columns];
                match weight_type {
                    WeightType::Bf16 => bf16::round(values, bytemuck::cast_slice_mut(&mut bytes)),
                    WeightType::Q4 => q4_quantization::quantize(values, &mut bytes, &mut scales)?,
                    WeightType::Int8 => {
                        let scale = row_scale(values)?;
                        scales[0] = scale.to_bits();
                        quantize_row(values, scale.to_f32(), bytemuck::cast_slice_mut(&mut bytes));
                    }
                }
                panel.set_bytes(row, &bytes);
                panel.set_scales(row, bytemuck::cast_slice(&scales));
            }
            Ok(())
        })
    }

    /// Sets the elements of some rows from `first` on, as [`ReducedRows::bytes`] has them.
    pub fn set_bytes(&mut self, first: usize, bytes: &[u8]) {
        let of_row = self.weight_type.row_bytes(self.columns);
        self.panels_of(first..first + bytes.len().checked_div(of_row).unwrap_or(0)).for_each(|mut panel| {
            for row in panel.rows.clone() {
                panel.set_bytes(row, &bytes[(row - first) * of_row..][..of_row]);
            }
        });
    }

    /// Sets the scales of all rows.
    ///
    /// # Errors
    /// Which of them is no number, or that there are others than needed.
    pub fn set_scales(&mut self, scales: &[f16]) -> Result<(), String> {
        let of_row = self.weight_type.row_scales(self.columns);
        let needed = self.rows * of_row;
        if scales.len() != needed {
            return Err(format!("it has {} scales, where {needed} are needed", scales.len()));
        }
        let is_int8 = self.weight_type == WeightType::Int8;
        if let Some(wrong) = scales.iter().find(|scale| !scale.is_finite() || is_int8 && scale.is_sign_negative()) {
            return Err(format!("it has a scale of {wrong}"));
        }
        self.panels_of(0..self.rows).for_each(|mut panel| {
            for row in panel.rows.clone() {
                panel.set_scales(row, &scales[row * of_row..][..of_row]);
            }
        });
        Ok(())
    }

    /// The panels with these rows, in parallel.
    fn panels_of(&mut self, rows: Range<usize>) -> impl ParallelIterator<Item = PanelMut<'_>> {
        let (weight_type, columns) = (self.weight_type, self.columns);
        let of_panel = weight_type.panel_units(columns).max(1);
        let first = rows.start / PANEL;
        self.panels[first * of_panel..].par_chunks_exact_mut(of_panel).enumerate().filter_map(move |(i, units)| {
            let start = (first + i) * PANEL;
            let rows = rows.start.max(start)..rows.end.min(start + PANEL);
            (!rows.is_empty()).then_some(PanelMut { weight_type, columns, rows, units })
        })
    }

    /// Its precision.
    pub fn weight_type(&self) -> WeightType {
        self.weight_type
    }

    /// Bytes that it takes, scales included.
    pub fn size(&self) -> usize {
        size_of_val(&self.panels[..])
    }

    /// All its rows.
    pub fn all(&self) -> ReducedRows<'_> {
        ReducedRows { weight: self, first: 0, rows: self.rows, columns: self.columns }
    }

    /// Some of its rows.
    pub fn rows(&self, rows: Range<usize>) -> ReducedRows<'_> {
        self.all().rows(rows)
    }
}

/// A panel that is written.
struct PanelMut<'a> {
    weight_type: WeightType,
    columns: usize,
    /// Those of the weight's rows that are to be set.
    rows: Range<usize>,
    units: &'a mut [u32],
}

impl PanelMut<'_> {
    fn set_bytes(&mut self, row: usize, bytes: &[u8]) {
        let (flipped, places) = (self.weight_type.flipped(), self.units.iter_mut().skip(row % PANEL).step_by(PANEL));
        let (whole, rest) = bytes.as_chunks();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        let units = whole.iter().chain((!rest.is_empty()).then_some(&last));
        places.zip(units).for_each(|(place, &unit)| *place = u32::from_le_bytes(unit) ^ flipped);
    }

    fn set_scales(&mut self, row: usize, scales: &[f16]) {
        let of_panel = &mut self.units[PANEL * self.weight_type.row_units(self.columns)..];
        match self.weight_type {
            WeightType::Bf16 => {}
            WeightType::Int8 => of_panel[row % PANEL] = scales[0].to_f32().to_bits(),
            WeightType::Q4 => {
                let places = bytemuck::cast_slice_mut::<u32, f16>(of_panel).iter_mut().skip(row % PANEL).step_by(PANEL);
                places.zip(scales).for_each(|(place, &scale)| *place = scale);
            }
        }
    }
}

impl<'a> ReducedRows<'a> {
    /// Some of them.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn rows(&self, rows: Range<usize>) -> Self {
        assert!(rows.end <= self.rows, "rows of another weight");
        Self { first: self.first + rows.start, rows: rows.len(), ..*self }
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

    /// Their precision.
    pub fn weight_type(&self) -> WeightType {
        self.weight.weight_type
    }

    /// The bytes of a row's elements: bfloat16 or int8 one after the other; of Q4, for each 32 elements 16 bytes, of which byte `i` has
    /// element `i` in its lower and element `16 + i` in its upper half, each 8 larger than it is.
    pub fn bytes(&self, row: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.units(row).flat_map(u32::to_le_bytes).collect();
        bytes.truncate(self.weight_type().row_bytes(self.columns));
        bytes
    }

    /// The scales of a row.
    pub fn scales(&self, row: usize) -> impl ExactSizeIterator<Item = f16> + use<'a> {
        let (scales, row, rows) = (self.panel_scales(self.of_panel(row)), self.first + row, *self);
        (0..self.weight_type().row_scales(self.columns)).map(move |block| match rows.weight_type() {
            WeightType::Bf16 | WeightType::Int8 => f16::from_f32(f32::from_bits(scales[row % PANEL])),
            WeightType::Q4 => bytemuck::cast_slice(scales)[block * PANEL + row % PANEL],
        })
    }

    /// Writes the values of a row.
    pub fn dequantize<E: Element>(&self, row: usize, values: &mut [E]) {
        let of = |value: f32| E::of(f64::from(value));
        let mut units = self.units(row).map(u32::to_le_bytes);
        match self.weight_type() {
            WeightType::Bf16 => {
                for (values, [a, b, c, d]) in values.chunks_mut(2).zip(units) {
                    let pair = [[a, b], [c, d]].map(|bytes| half::bf16::from_le_bytes(bytes).to_f32());
                    values.iter_mut().zip(pair).for_each(|(value, x)| *value = of(x));
                }
            }
            WeightType::Int8 => {
                let scale = self.scales(row).next().unwrap_or_default().to_f32();
                for (values, unit) in values.chunks_mut(4).zip(units) {
                    values.iter_mut().zip(unit).for_each(|(value, x)| *value = of(scale * f32::from(x as i8)));
                }
            }
            WeightType::Q4 => {
                for (values, scale) in values.chunks_mut(BLOCK).zip(self.scales(row)) {
                    let mut block = [0; BLOCK_BYTES];
                    block.as_chunks_mut().0.iter_mut().zip(&mut units).for_each(|(to, unit)| *to = unit);
                    let block = q4_quantization::elements(&block);
                    values.iter_mut().zip(block).for_each(|(value, x)| *value = of(scale.to_f32() * f32::from(x)));
                }
            }
        }
    }

    /// The units of a row, as its bytes are.
    fn units(&self, row: usize) -> impl Iterator<Item = u32> + use<'a> {
        let flipped = self.weight_type().flipped();
        let units = self.panel(self.of_panel(row)).iter().skip((self.first + row) % PANEL).step_by(PANEL);
        units.map(move |unit| unit ^ flipped)
    }

    /// The panels that have these rows.
    pub(crate) fn panels(&self) -> Range<usize> {
        self.first / PANEL..(self.first + self.rows).div_ceil(PANEL)
    }

    /// The panel that has this row.
    fn of_panel(&self, row: usize) -> usize {
        (self.first + row) / PANEL
    }

    /// The interleaved rows of the panel of this number, of all of the weight.
    #[inline(always)]
    pub(crate) fn panel(&self, panel: usize) -> &'a [u32] {
        &self.with_scales(panel)[..PANEL * self.weight_type().row_units(self.columns)]
    }

    /// The scales of that panel.
    #[inline(always)]
    pub(crate) fn panel_scales(&self, panel: usize) -> &'a [u32] {
        &self.with_scales(panel)[PANEL * self.weight_type().row_units(self.columns)..]
    }

    #[inline(always)]
    fn with_scales(&self, panel: usize) -> &'a [u32] {
        let of_panel = self.weight_type().panel_units(self.columns);
        &self.weight.panels[panel * of_panel..][..of_panel]
    }
}

/// In bfloat16: a unit has two columns, of which the even one is in its lower half.
#[derive(Clone, Copy)]
pub(crate) struct Bf16Rows<'a>(pub(crate) ReducedRows<'a>);

impl PanelWeight for Bf16Rows<'_> {
    const OF_LINE: usize = 2;

    #[inline(always)]
    fn rows(self) -> Range<usize> {
        self.0.first..self.0.first + self.0.rows
    }

    #[inline(always)]
    fn lines<'b>(self, panel: usize) -> &'b [f32]
    where
        Self: 'b,
    {
        bytemuck::cast_slice(self.0.panel(panel))
    }

    #[inline(always)]
    fn column<S: Simd>(simd: S, line: S::f32s, p: usize) -> S::f32s {
        let line = simd.transmute_u32s_f32s(line);
        simd.transmute_f32s_u32s(match p.is_multiple_of(2) {
            true => simd.wrapping_dyn_shl_u32s(line, simd.splat_u32s(16)),
            false => simd.and_u32s(line, simd.splat_u32s(0xffff_0000)),
        })
    }
}
