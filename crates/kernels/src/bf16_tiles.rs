//! Tiles of f32 activations and bfloat16 weights, which are widened in registers. The lanes of a register are added up at the end
//! of a row, so the order depends on the inner length and the processor alone.

use crate::columns::Columns;
use crate::mat::Mat;
use crate::reduced_weight::ReducedRows;
use crate::weight_tiles::{RowBytes, TileKernel, tiles};
use std::marker::PhantomData;
use std::ops::Range;

/// Elements that rows of activations are padded to, with zeros; rows of weights are padded to as many at least.
pub(crate) const PADDED: usize = 16;

/// Instructions that widen bfloat16 and multiply it.
pub(crate) trait Bf16Dot {
    /// Whether this processor has them.
    fn is_available() -> bool;

    /// The sums of the first `MR` rows of activations, `length` elements apart, with the first `NR` rows of a weight, `b_stride` apart.
    ///
    /// # Safety
    /// The processor has the instructions, and each of these rows has `length` elements, a multiple of [`PADDED`].
    unsafe fn dots<const MR: usize, const NR: usize>(
        a: &[f32],
        b: &[u16],
        b_stride: usize,
        length: usize,
    ) -> [[f32; NR]; MR];
}

/// Copies the rows of `a`, padded with zeros; returns their length then.
pub(crate) fn pad(a: &Mat<'_, f32>, padded: &mut Vec<f32>) -> usize {
    let length = a.columns.next_multiple_of(PADDED);
    padded.clear();
    padded.resize(a.rows * length, 0.0);
    for (r, to) in padded.chunks_exact_mut(length.max(1)).enumerate() {
        to[..a.columns].copy_from_slice(&a.data[r * a.row_stride..][..a.columns]);
    }
    length
}

/// All tiles of some columns of `C`.
pub(crate) struct Bf16Tiles<'a, D> {
    a: &'a [f32],
    rows: usize,
    length: usize,
    b: ReducedRows<'a>,
    c: Columns<'a, f32>,
    dot: PhantomData<D>,
}

impl<'a, D: Bf16Dot> Bf16Tiles<'a, D> {
    /// Of `rows` rows that were padded to this length.
    pub(crate) fn new(a: &'a [f32], (rows, length): (usize, usize), b: ReducedRows<'a>, c: Columns<'a, f32>) -> Self {
        assert!(D::is_available() && a.len() == rows * length && 2 * length <= b.stride);
        Self { a, rows, length, b, c, dot: PhantomData }
    }

    pub(crate) fn run(&self, columns: Range<usize>) {
        tiles::<_, 4, 3>(self, self.rows, columns, RowBytes { a: 4 * self.length, b: self.b.stride });
    }
}

impl<D: Bf16Dot> TileKernel for Bf16Tiles<'_, D> {
    fn tile<const MR: usize, const NR: usize>(&self, row: usize, column: usize) {
        let a = &self.a[row * self.length..(row + MR) * self.length];
        let b = &self.b.elements[column * self.b.stride..(column + NR) * self.b.stride];
        // SAFETY: the constructor has checked that the instructions are there; the slices hold so many rows, and rows of the weight are at
        // least as long as those of the activations.
        let sums = unsafe { D::dots::<MR, NR>(a, bytemuck::cast_slice(b), self.b.stride / 2, self.length) };
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                // SAFETY: the tile lies within the rows of `a` and the columns of this thread.
                unsafe { self.c.put(row + i, column + j, false, sum) };
            }
        }
    }
}

/// No instructions but the language's own.
pub(crate) struct Portable;

impl Bf16Dot for Portable {
    fn is_available() -> bool {
        true
    }

    unsafe fn dots<const MR: usize, const NR: usize>(
        a: &[f32],
        b: &[u16],
        b_stride: usize,
        length: usize,
    ) -> [[f32; NR]; MR] {
        let dot = |i: usize, j: usize| {
            let (a, b) = (&a[i * length..][..length], &b[j * b_stride..][..length]);
            let mut lanes = [0.0; PADDED];
            for (a, b) in a.chunks_exact(PADDED).zip(b.chunks_exact(PADDED)) {
                let terms = a.iter().zip(b).map(|(&a, &b)| a * f32::from_bits(u32::from(b) << 16));
                lanes.iter_mut().zip(terms).for_each(|(lane, term)| *lane += term);
            }
            lanes.iter().sum()
        };
        std::array::from_fn(|i| std::array::from_fn(|j| dot(i, j)))
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use super::Bf16Dot;
    use std::arch::x86_64::{
        _mm_add_ps, _mm_loadu_si128, _mm256_castps256_ps128, _mm256_castsi256_ps, _mm256_cvtepu16_epi32,
        _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_hadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_setzero_ps,
        _mm256_slli_epi32, _mm512_castsi512_ps, _mm512_cvtepu16_epi32, _mm512_fmadd_ps, _mm512_loadu_ps,
        _mm512_reduce_add_ps, _mm512_setzero_ps, _mm512_slli_epi32,
    };

    /// AVX2 and FMA: eight lanes.
    pub(crate) struct Avx2;

    impl Bf16Dot for Avx2 {
        fn is_available() -> bool {
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
        }

        unsafe fn dots<const MR: usize, const NR: usize>(
            a: &[f32],
            b: &[u16],
            b_stride: usize,
            length: usize,
        ) -> [[f32; NR]; MR] {
            // SAFETY: the caller's.
            unsafe { dots_avx2(a.as_ptr(), b.as_ptr(), b_stride, length) }
        }
    }

    /// AVX-512: sixteen lanes.
    pub(crate) struct Avx512;

    impl Bf16Dot for Avx512 {
        fn is_available() -> bool {
            is_x86_feature_detected!("avx512f")
        }

        unsafe fn dots<const MR: usize, const NR: usize>(
            a: &[f32],
            b: &[u16],
            b_stride: usize,
            length: usize,
        ) -> [[f32; NR]; MR] {
            // SAFETY: the caller's.
            unsafe { dots_avx512(a.as_ptr(), b.as_ptr(), b_stride, length) }
        }
    }

    /// # Safety
    /// As [`Bf16Dot::dots`].
    #[expect(clippy::needless_range_loop, reason = "the loops are unrolled, and what they index becomes registers")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn dots_avx2<const MR: usize, const NR: usize>(
        a: *const f32,
        b: *const u16,
        b_stride: usize,
        length: usize,
    ) -> [[f32; NR]; MR] {
        let mut sums = [[_mm256_setzero_ps(); NR]; MR];
        for p in (0..length).step_by(8) {
            let mut w = [_mm256_setzero_ps(); NR];
            for j in 0..NR {
                // SAFETY: 8 of the `length` elements of row `j`.
                let bits = unsafe { _mm_loadu_si128(b.add(j * b_stride + p).cast()) };
                w[j] = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits)));
            }
            for i in 0..MR {
                // SAFETY: 8 of the `length` elements of row `i`.
                let x = unsafe { _mm256_loadu_ps(a.add(i * length + p)) };
                for j in 0..NR {
                    sums[i][j] = _mm256_fmadd_ps(x, w[j], sums[i][j]);
                }
            }
        }
        let mut totals = [[0.0; NR]; MR];
        let (all, places) = (sums.as_flattened(), totals.as_flattened_mut());
        for n in (0..all.len()).step_by(4) {
            let mut four = [_mm256_setzero_ps(); 4];
            for (l, register) in four.iter_mut().enumerate().take(all.len() - n) {
                *register = all[n + l];
            }
            let halves = _mm256_hadd_ps(_mm256_hadd_ps(four[0], four[1]), _mm256_hadd_ps(four[2], four[3]));
            let four = _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps::<1>(halves));
            // SAFETY: both are four numbers.
            let four: [f32; 4] = unsafe { std::mem::transmute(four) };
            places[n..].iter_mut().zip(four).for_each(|(place, sum)| *place = sum);
        }
        totals
    }

    /// # Safety
    /// As [`Bf16Dot::dots`].
    #[expect(clippy::needless_range_loop, reason = "the loops are unrolled, and what they index becomes registers")]
    #[target_feature(enable = "avx512f")]
    unsafe fn dots_avx512<const MR: usize, const NR: usize>(
        a: *const f32,
        b: *const u16,
        b_stride: usize,
        length: usize,
    ) -> [[f32; NR]; MR] {
        let mut sums = [[_mm512_setzero_ps(); NR]; MR];
        for p in (0..length).step_by(16) {
            let mut w = [_mm512_setzero_ps(); NR];
            for j in 0..NR {
                // SAFETY: 16 of the `length` elements of row `j`.
                let bits = unsafe { _mm256_loadu_si256(b.add(j * b_stride + p).cast()) };
                w[j] = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)));
            }
            for i in 0..MR {
                // SAFETY: 16 of the `length` elements of row `i`.
                let x = unsafe { _mm512_loadu_ps(a.add(i * length + p)) };
                for j in 0..NR {
                    sums[i][j] = _mm512_fmadd_ps(x, w[j], sums[i][j]);
                }
            }
        }
        let mut totals = [[0.0; NR]; MR];
        for i in 0..MR {
            for j in 0..NR {
                totals[i][j] = _mm512_reduce_add_ps(sums[i][j]);
            }
        }
        totals
    }
}
