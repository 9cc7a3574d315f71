//! Activations rounded to integers for a GEMM with a weight in reduced precision, each row with a scale of its own: to int8, or to 16 bits
//! in two planes of int8, of which the first counts 256 times.

use crate::elementwise::vectorized;
use crate::gemm_config::MIN_ELEMENTS;
use crate::int8_quantization::{quantize_activations, quantize_activations_16};
use crate::mat::Mat;
use crate::q4_quantization::BLOCK;
use crate::threads::run_on_threads;
use descant_tensor::{Aligned, aligned};

/// Elements that rows are padded to, with zeros.
const PADDED: usize = 64;

/// Rows of activations. The memory only grows.
#[derive(Debug)]
pub(crate) struct Int8Activations {
    rows: usize,
    /// Of a row, padded.
    length: usize,
    /// One, or two for 16 bits.
    planes: usize,
    /// Row by row, of each its planes.
    elements: Aligned<i8>,
    /// The same in 16 bits, for instructions that take them so.
    wide: Aligned<i16>,
    /// For each row, what its elements are multiples of.
    scales: Vec<f32>,
    /// The sum of each block of 32 elements, row by row and plane by plane.
    block_sums: Vec<i32>,
    /// The sum of each row.
    sums: Vec<i32>,
}

impl Default for Int8Activations {
    fn default() -> Self {
        Self {
            rows: 0,
            length: 0,
            planes: 1,
            elements: aligned(0),
            wide: aligned(0),
            scales: Vec::new(),
            block_sums: Vec::new(),
            sums: Vec::new(),
        }
    }
}

impl Int8Activations {
    /// Rounds the rows of `a` to so many planes, and widens these where `is_wide`; many rows on several threads.
    pub(crate) fn quantize(&mut self, a: &Mat<'_, f32>, planes: usize, is_wide: bool, threads: usize) {
        (self.rows, self.length, self.planes) = (a.rows, a.columns.next_multiple_of(PADDED), planes);
        let of_row = self.length * planes;
        let (elements, blocks) = (self.rows * of_row, of_row / BLOCK);
        if self.elements.len() < elements {
            self.elements = aligned(elements);
        }
        if is_wide && self.wide.len() < elements {
            self.wide = aligned(elements);
        }
        self.scales.resize(self.rows, 0.0);
        self.sums.resize(self.rows, 0);
        self.block_sums.resize(self.rows * blocks, 0);
        let threads = if elements < MIN_ELEMENTS { 1 } else { threads };
        let part = self.rows.div_ceil(threads).max(1);
        let mut rest = Rows {
            a: *a,
            first: 0,
            planes,
            length: self.length,
            elements: &mut self.elements[..elements],
            wide: if is_wide { &mut self.wide[..elements] } else { &mut [] },
            scales: &mut self.scales,
            block_sums: &mut self.block_sums,
            sums: &mut self.sums,
        };
        if threads == 1 {
            return rest.quantize();
        }
        run_on_threads((0..self.rows).step_by(part).map(|_| {
            let own = rest.split_off(part);
            move || own.quantize()
        }));
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// How many planes each has.
    pub(crate) fn planes(&self) -> usize {
        self.planes
    }

    /// The elements of a plane, padded with zeros: the next plane follows.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The elements of a row, plane by plane.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &[i8] {
        let of_row = self.length * self.planes;
        &self.elements[row * of_row..][..of_row]
    }

    /// The elements of a row, each in 16 bits.
    ///
    /// # Panics
    /// If they were not widened.
    #[inline(always)]
    pub(crate) fn wide_row(&self, row: usize) -> &[i16] {
        let of_row = self.length * self.planes;
        &self.wide[row * of_row..][..of_row]
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

    /// The sum of each block of 32 elements of a row, plane by plane.
    #[inline(always)]
    pub(crate) fn block_sums(&self, row: usize) -> &[i32] {
        let blocks = self.length * self.planes / BLOCK;
        &self.block_sums[row * blocks..][..blocks]
    }
}

/// Some rows of activations, to be rounded.
struct Rows<'a> {
    a: Mat<'a, f32>,
    /// The first of them.
    first: usize,
    /// Of a plane, padded.
    length: usize,
    planes: usize,
    elements: &'a mut [i8],
    /// Empty where nothing is to be widened.
    wide: &'a mut [i16],
    scales: &'a mut [f32],
    block_sums: &'a mut [i32],
    sums: &'a mut [i32],
}

impl Rows<'_> {
    /// Takes so many of the first rows, or as many as there are.
    fn split_off(&mut self, rows: usize) -> Self {
        fn first<'a, T>(of: &mut &'a mut [T], elements: usize) -> &'a mut [T] {
            let all = std::mem::take(of);
            let (first, rest) = all.split_at_mut(elements.min(all.len()));
            *of = rest;
            first
        }
        let (rows, of_row) = (rows.min(self.scales.len()), self.length * self.planes);
        self.first += rows;
        Self {
            a: self.a,
            first: self.first - rows,
            length: self.length,
            planes: self.planes,
            elements: first(&mut self.elements, rows * of_row),
            wide: first(&mut self.wide, rows * of_row),
            scales: first(&mut self.scales, rows),
            block_sums: first(&mut self.block_sums, rows * (of_row / BLOCK)),
            sums: first(&mut self.sums, rows),
        }
    }

    fn quantize(self) {
        let (a, of_row) = (self.a, self.length * self.planes);
        let blocks = of_row / BLOCK;
        for r in 0..self.scales.len() {
            let values = &a.data[(self.first + r) * a.row_stride..][..a.columns];
            let row = &mut self.elements[r * of_row..][..of_row];
            let (high, low) = row.split_at_mut(self.length);
            high[a.columns..].fill(0);
            self.scales[r] = match self.planes {
                1 => quantize_activations(values, high),
                _ => {
                    low[a.columns..].fill(0);
                    quantize_activations_16(values, high, low)
                }
            };
            let sums = &mut self.block_sums[r * blocks..][..blocks];
            vectorized(
                #[inline(always)]
                || {
                    for (sum, block) in sums.iter_mut().zip(row.as_chunks::<BLOCK>().0) {
                        *sum = block.iter().map(|&x| i32::from(x)).sum();
                    }
                },
            );
            let of_planes = sums.chunks_exact((self.length / BLOCK).max(1));
            self.sums[r] = of_planes.fold(0, |sum, plane| (sum << 8) + plane.iter().sum::<i32>());
            if !self.wide.is_empty() {
                let wide = &mut self.wide[r * of_row..][..of_row];
                vectorized(
                    #[inline(always)]
                    || wide.iter_mut().zip(&*row).for_each(|(wide, &x)| *wide = x.into()),
                );
            }
        }
    }
}
