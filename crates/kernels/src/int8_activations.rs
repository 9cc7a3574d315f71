//! Activations rounded to int8 for a GEMM with a weight in reduced precision, each row with a scale of its own.

use crate::elementwise::vectorized;
use crate::int8_quantization::quantize_activations;
use crate::mat::Mat;
use crate::q4_quantization::BLOCK;
use descant_tensor::{Aligned, aligned};

/// Elements that rows are padded to, with zeros.
const PADDED: usize = 64;

/// Rows of activations. The memory only grows.
#[derive(Debug)]
pub(crate) struct Int8Activations {
    rows: usize,
    /// Of a row, padded.
    length: usize,
    elements: Aligned<i8>,
    /// The same in 16 bits, for instructions that take them so.
    wide: Aligned<i16>,
    /// For each row, what its elements are multiples of.
    scales: Vec<f32>,
    /// The sum of each block of 32 elements, row by row.
    block_sums: Vec<i32>,
    /// The sum of each row.
    sums: Vec<i32>,
}

impl Default for Int8Activations {
    fn default() -> Self {
        Self {
            rows: 0,
            length: 0,
            elements: aligned(0),
            wide: aligned(0),
            scales: Vec::new(),
            block_sums: Vec::new(),
            sums: Vec::new(),
        }
    }
}

impl Int8Activations {
    /// Rounds the rows of `a`, and widens them where `is_wide`.
    pub(crate) fn quantize(&mut self, a: &Mat<'_, f32>, is_wide: bool) {
        (self.rows, self.length) = (a.rows, a.columns.next_multiple_of(PADDED));
        let (elements, blocks) = (self.rows * self.length, self.length / BLOCK);
        if self.elements.len() < elements {
            self.elements = aligned(elements);
        }
        if is_wide && self.wide.len() < elements {
            self.wide = aligned(elements);
        }
        self.scales.resize(self.rows, 0.0);
        self.sums.resize(self.rows, 0);
        self.block_sums.resize(self.rows * blocks, 0);
        for r in 0..self.rows {
            let row = &mut self.elements[r * self.length..][..self.length];
            row[a.columns..].fill(0);
            self.scales[r] = quantize_activations(&a.data[r * a.row_stride..][..a.columns], row);
            let sums = &mut self.block_sums[r * blocks..][..blocks];
            vectorized(
                #[inline(always)]
                || {
                    for (sum, block) in sums.iter_mut().zip(row.as_chunks::<BLOCK>().0) {
                        *sum = block.iter().map(|&x| i32::from(x)).sum();
                    }
                },
            );
            self.sums[r] = sums.iter().sum();
            if is_wide {
                let wide = &mut self.wide[r * self.length..][..self.length];
                vectorized(
                    #[inline(always)]
                    || wide.iter_mut().zip(&*row).for_each(|(wide, &x)| *wide = x.into()),
                );
            }
        }
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The elements of a row, padded with zeros.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &[i8] {
        &self.elements[row * self.length..][..self.length]
    }

    /// The elements of a row in 16 bits.
    ///
    /// # Panics
    /// If they were not widened.
    #[inline(always)]
    pub(crate) fn wide_row(&self, row: usize) -> &[i16] {
        &self.wide[row * self.length..][..self.length]
    }

    /// What the elements of a row are multiples of.
    #[inline(always)]
    pub(crate) fn scale(&self, row: usize) -> f32 {
        self.scales[row]
    }

    /// The sum of the elements of a row.
    #[inline(always)]
    pub(crate) fn sum(&self, row: usize) -> i32 {
        self.sums[row]
    }

    /// The sum of each block of 32 elements of a row.
    #[inline(always)]
    pub(crate) fn block_sums(&self, row: usize) -> &[i32] {
        let blocks = self.length / BLOCK;
        &self.block_sums[row * blocks..][..blocks]
    }
}
