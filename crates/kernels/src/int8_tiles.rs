//! Tiles of int8 activations and int8 weights, added up exactly in 32 bits. Every processor gives the same integers, so where one
//! has instructions for it the result is what it is anywhere.

use crate::columns::Columns;
use crate::elementwise::vectorized;
use crate::int8_quantization::quantize_activations;
use crate::mat::Mat;
use crate::reduced_weight::ReducedRows;
use crate::weight_tiles::{RowBytes, TileKernel, tiles};
use bytemuck::Pod;
use descant_tensor::{Aligned, aligned};
use std::marker::PhantomData;
use std::ops::Range;

/// Elements that rows of activations and weights are padded to, with zeros.
pub(crate) const PADDED: usize = 64;

/// Instructions that multiply int8 elements and add them up.
pub(crate) trait Int8Dot {
    /// The form of an activation.
    type Activation: Pod;
    /// What every activation has more than it is, to be positive.
    const SHIFT: i32;
    /// Whether there are 32 registers.
    const IS_WIDE: bool;

    /// Whether this processor has them.
    fn is_available() -> bool;

    /// An activation in that form.
    fn activation(element: i8) -> Self::Activation;

    /// The sums of the first `MR` rows of activations, `length` elements apart, with the first `NR` rows of a weight, `b_stride` apart.
    ///
    /// # Safety
    /// The processor has the instructions, and each of these rows has `length` elements, a multiple of [`PADDED`].
    unsafe fn dots<const MR: usize, const NR: usize>(
        a: &[Self::Activation],
        b: &[i8],
        b_stride: usize,
        length: usize,
    ) -> [[i32; NR]; MR];
}

/// Rows of activations in int8, each with its scale.
#[derive(Debug)]
pub(crate) struct Int8Activations {
    /// The rows in the form of the processor's instructions.
    elements: Aligned<u8>,
    row: Vec<i8>,
    scales: Vec<f32>,
}

impl Default for Int8Activations {
    fn default() -> Self {
        Self { elements: aligned(0), row: Vec::new(), scales: Vec::new() }
    }
}

impl Int8Activations {
    /// Rounds the rows of `a` for the instructions of `D`; returns their padded length.
    pub(crate) fn quantize<D: Int8Dot>(&mut self, a: &Mat<'_, f32>) -> usize {
        let length = a.columns.next_multiple_of(PADDED);
        let bytes = a.rows * length * size_of::<D::Activation>();
        if self.elements.len() < bytes {
            self.elements = aligned(bytes);
        }
        self.row.clear();
        self.row.resize(length, 0);
        self.scales.clear();
        let elements: &mut [D::Activation] = bytemuck::cast_slice_mut(&mut self.elements[..bytes]);
        for (r, to) in elements.chunks_exact_mut(length.max(1)).enumerate() {
            self.scales.push(quantize_activations(&a.data[r * a.row_stride..][..a.columns], &mut self.row));
            let row = &self.row;
            vectorized(
                #[inline(always)]
                || to.iter_mut().zip(row).for_each(|(to, &x)| *to = D::activation(x)),
            );
        }
        self.scales.resize(a.rows, 0.0);
        length
    }
}

/// All tiles of some columns of `C`.
pub(crate) struct Int8Tiles<'a, D: Int8Dot> {
    a: &'a [D::Activation],
    a_scales: &'a [f32],
    length: usize,
    b: ReducedRows<'a>,
    c: Columns<'a, f32>,
    dot: PhantomData<D>,
}

impl<'a, D: Int8Dot> Int8Tiles<'a, D> {
    /// Of activations that were rounded for these instructions, with rows of that padded length.
    pub(crate) fn new(a: &'a Int8Activations, length: usize, b: ReducedRows<'a>, c: Columns<'a, f32>) -> Self {
        assert!(D::is_available() && length <= b.stride, "activations and weights of other lengths");
        let rows = a.scales.len();
        let a_elements = bytemuck::cast_slice(&a.elements[..rows * length * size_of::<D::Activation>()]);
        Self { a: a_elements, a_scales: &a.scales, length, b, c, dot: PhantomData }
    }

    pub(crate) fn run(&self, columns: Range<usize>) {
        let bytes = RowBytes { a: self.length * size_of::<D::Activation>(), b: self.b.stride };
        match D::IS_WIDE {
            false => tiles::<_, 4, 2>(self, self.a_scales.len(), columns, bytes),
            true => tiles::<_, 6, 4>(self, self.a_scales.len(), columns, bytes),
        }
    }
}

impl<D: Int8Dot> TileKernel for Int8Tiles<'_, D> {
    fn tile<const MR: usize, const NR: usize>(&self, row: usize, column: usize) {
        let a = &self.a[row * self.length..(row + MR) * self.length];
        let b = &self.b.elements[column * self.b.stride..(column + NR) * self.b.stride];
        // SAFETY: the constructor has checked that the instructions are there; the slices hold so many rows, and rows of the weight are at
        // least as long as those of the activations.
        let sums = unsafe { D::dots::<MR, NR>(a, bytemuck::cast_slice(b), self.b.stride, self.length) };
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                let sum = sum - D::SHIFT * self.b.sums[column + j];
                let scale = self.a_scales[row + i] * self.b.row_scales[column + j];
                // SAFETY: the tile lies within the rows of `a` and the columns of this thread.
                unsafe { self.c.put(row + i, column + j, false, sum as f32 * scale) };
            }
        }
    }
}

/// No instructions but the language's own.
pub(crate) struct Portable;

impl Int8Dot for Portable {
    type Activation = i16;
    const SHIFT: i32 = 0;
    const IS_WIDE: bool = false;

    fn is_available() -> bool {
        true
    }

    fn activation(element: i8) -> i16 {
        element.into()
    }

    unsafe fn dots<const MR: usize, const NR: usize>(
        a: &[i16],
        b: &[i8],
        b_stride: usize,
        length: usize,
    ) -> [[i32; NR]; MR] {
        let dot = |i: usize, j: usize| {
            let (a, b) = (&a[i * length..][..length], &b[j * b_stride..][..length]);
            a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
        };
        std::array::from_fn(|i| std::array::from_fn(|j| dot(i, j)))
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use super::{Int8Dot, PADDED};
    use std::arch::x86_64::{
        __m128i, __m256i, __m512i, _mm_add_epi32, _mm_loadu_si128, _mm256_add_epi32, _mm256_castsi256_si128,
        _mm256_cvtepi8_epi16, _mm256_dpbusd_avx_epi32, _mm256_extracti128_si256, _mm256_hadd_epi32, _mm256_loadu_si256,
        _mm256_madd_epi16, _mm256_setzero_si256, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_reduce_add_epi32,
        _mm512_setzero_si512,
    };

    /// AVX2: both are widened to 16 bits, pairs multiplied and added in 32.
    pub(crate) struct Avx2;

    impl Int8Dot for Avx2 {
        type Activation = i16;
        const SHIFT: i32 = 0;
        const IS_WIDE: bool = false;

        fn is_available() -> bool {
            is_x86_feature_detected!("avx2")
        }

        #[inline(always)]
        fn activation(element: i8) -> i16 {
            element.into()
        }

        unsafe fn dots<const MR: usize, const NR: usize>(
            a: &[i16],
            b: &[i8],
            b_stride: usize,
            length: usize,
        ) -> [[i32; NR]; MR] {
            // SAFETY: the caller's.
            unsafe { dots_avx2(a.as_ptr(), b.as_ptr(), b_stride, length) }
        }
    }

    /// AVX-VNNI: four elements are multiplied and added in one instruction, which takes activations of 8 bits without a sign.
    pub(crate) struct AvxVnni;

    impl Int8Dot for AvxVnni {
        type Activation = u8;
        const SHIFT: i32 = 128;
        const IS_WIDE: bool = false;

        fn is_available() -> bool {
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni")
        }

        #[inline(always)]
        fn activation(element: i8) -> u8 {
            element as u8 ^ 0x80
        }

        unsafe fn dots<const MR: usize, const NR: usize>(
            a: &[u8],
            b: &[i8],
            b_stride: usize,
            length: usize,
        ) -> [[i32; NR]; MR] {
            // SAFETY: the caller's.
            unsafe { dots_avx_vnni(a.as_ptr(), b.as_ptr(), b_stride, length) }
        }
    }

    /// The same with registers of 512 bits, and 32 of them.
    pub(crate) struct Avx512Vnni;

    impl Int8Dot for Avx512Vnni {
        type Activation = u8;
        const SHIFT: i32 = 128;
        const IS_WIDE: bool = true;

        fn is_available() -> bool {
            is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
        }

        #[inline(always)]
        fn activation(element: i8) -> u8 {
            element as u8 ^ 0x80
        }

        unsafe fn dots<const MR: usize, const NR: usize>(
            a: &[u8],
            b: &[i8],
            b_stride: usize,
            length: usize,
        ) -> [[i32; NR]; MR] {
            // SAFETY: the caller's.
            unsafe { dots_avx512_vnni(a.as_ptr(), b.as_ptr(), b_stride, length) }
        }
    }

    /// # Safety
    /// As [`Int8Dot::dots`].
    #[expect(clippy::needless_range_loop, reason = "the loops are unrolled, and what they index becomes registers")]
    #[target_feature(enable = "avx2")]
    unsafe fn dots_avx2<const MR: usize, const NR: usize>(
        a: *const i16,
        b: *const i8,
        b_stride: usize,
        length: usize,
    ) -> [[i32; NR]; MR] {
        let mut sums = [[_mm256_setzero_si256(); NR]; MR];
        for p in (0..length).step_by(16) {
            let mut w = [_mm256_setzero_si256(); NR];
            for j in 0..NR {
                // SAFETY: 16 of the `length` elements of row `j`.
                w[j] = _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(b.add(j * b_stride + p).cast()) });
            }
            for i in 0..MR {
                // SAFETY: 16 of the `length` elements of row `i`.
                let x = unsafe { _mm256_loadu_si256(a.add(i * length + p).cast()) };
                for j in 0..NR {
                    sums[i][j] = _mm256_add_epi32(sums[i][j], _mm256_madd_epi16(x, w[j]));
                }
            }
        }
        // SAFETY: the processor has AVX2.
        unsafe { lane_sums(&sums) }
    }

    /// # Safety
    /// As [`Int8Dot::dots`].
    #[expect(clippy::needless_range_loop, reason = "the loops are unrolled, and what they index becomes registers")]
    #[target_feature(enable = "avx2,avxvnni")]
    unsafe fn dots_avx_vnni<const MR: usize, const NR: usize>(
        a: *const u8,
        b: *const i8,
        b_stride: usize,
        length: usize,
    ) -> [[i32; NR]; MR] {
        let mut sums = [[_mm256_setzero_si256(); NR]; MR];
        for p in (0..length).step_by(32) {
            let mut w = [_mm256_setzero_si256(); NR];
            for j in 0..NR {
                // SAFETY: 32 of the `length` elements of row `j`.
                w[j] = unsafe { _mm256_loadu_si256(b.add(j * b_stride + p).cast()) };
            }
            for i in 0..MR {
                // SAFETY: 32 of the `length` elements of row `i`.
                let x = unsafe { _mm256_loadu_si256(a.add(i * length + p).cast()) };
                for j in 0..NR {
                    sums[i][j] = _mm256_dpbusd_avx_epi32(sums[i][j], x, w[j]);
                }
            }
        }
        // SAFETY: the processor has AVX2.
        unsafe { lane_sums(&sums) }
    }

    /// # Safety
    /// As [`Int8Dot::dots`].
    #[expect(clippy::needless_range_loop, reason = "the loops are unrolled, and what they index becomes registers")]
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn dots_avx512_vnni<const MR: usize, const NR: usize>(
        a: *const u8,
        b: *const i8,
        b_stride: usize,
        length: usize,
    ) -> [[i32; NR]; MR] {
        let mut sums = [[_mm512_setzero_si512(); NR]; MR];
        for p in (0..length).step_by(PADDED) {
            let mut w = [_mm512_setzero_si512(); NR];
            for j in 0..NR {
                // SAFETY: 64 of the `length` elements of row `j`.
                w[j] = unsafe { _mm512_loadu_si512(b.add(j * b_stride + p).cast()) };
            }
            for i in 0..MR {
                // SAFETY: 64 of the `length` elements of row `i`.
                let x: __m512i = unsafe { _mm512_loadu_si512(a.add(i * length + p).cast()) };
                for j in 0..NR {
                    sums[i][j] = _mm512_dpbusd_epi32(sums[i][j], x, w[j]);
                }
            }
        }
        let mut totals = [[0; NR]; MR];
        for i in 0..MR {
            for j in 0..NR {
                totals[i][j] = _mm512_reduce_add_epi32(sums[i][j]);
            }
        }
        totals
    }

    /// The sum of each register's lanes, of four registers at once.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn lane_sums<const MR: usize, const NR: usize>(registers: &[[__m256i; NR]; MR]) -> [[i32; NR]; MR] {
        let (all, mut totals) = (registers.as_flattened(), [[0; NR]; MR]);
        let places = totals.as_flattened_mut();
        for n in (0..all.len()).step_by(4) {
            let mut four = [_mm256_setzero_si256(); 4];
            for (l, register) in four.iter_mut().enumerate().take(all.len() - n) {
                *register = all[n + l];
            }
            let [ab, cd] = [_mm256_hadd_epi32(four[0], four[1]), _mm256_hadd_epi32(four[2], four[3])];
            let halves = _mm256_hadd_epi32(ab, cd);
            let sums = _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves));
            // SAFETY: both are four integers.
            let sums: [i32; 4] = unsafe { std::mem::transmute::<__m128i, [i32; 4]>(sums) };
            places[n..].iter_mut().zip(sums).for_each(|(place, sum)| *place = sum);
        }
        totals
    }
}
