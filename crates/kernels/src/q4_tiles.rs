//! Tiles of int8 activations and 4-bit weights. The integers of a block are added up exactly in eight lanes, lane `l` those of the
//! elements `4 l` to `4 l + 3`; the blocks follow each other, each lane times the block's scale, in f32. So every processor gives the same
//! bits.

use crate::columns::Columns;
use crate::int8_quantization::quantize_activations;
use crate::mat::Mat;
use crate::q4_quantization::{BLOCK, BLOCK_BYTES, elements};
use crate::reduced_weight::ReducedRows;
use crate::weight_tiles::{RowBytes, TileKernel, tiles};
use half::f16;
use std::marker::PhantomData;
use std::ops::Range;

/// Lanes of the sums of a block.
const LANES: usize = 8;

/// Instructions that multiply elements of a block and add them up.
pub(crate) trait Q4Dot {
    /// Whether this processor has them.
    fn is_available() -> bool;

    /// The sums in eight lanes of the first `MR` rows of activations with the first `NR` rows of a weight, each row of so many blocks.
    ///
    /// # Safety
    /// The processor has the instructions, and the slices hold so many rows: [`BLOCK`] elements, [`BLOCK_BYTES`] and one scale for each block.
    unsafe fn dots<const MR: usize, const NR: usize>(
        a: &[i8],
        b: &[u8],
        scales: &[u16],
        blocks: usize,
    ) -> [[[f32; LANES]; NR]; MR];
}

/// Rows of activations in int8, each with its scale.
#[derive(Debug, Default)]
pub(crate) struct Q4Activations {
    elements: Vec<i8>,
    scales: Vec<f32>,
}

impl Q4Activations {
    /// Rounds the rows of `a`, padded with zeros.
    pub(crate) fn quantize(&mut self, a: &Mat<'_, f32>) {
        let length = a.columns.next_multiple_of(BLOCK);
        self.elements.clear();
        self.elements.resize(a.rows * length, 0);
        self.scales.clear();
        for (r, to) in self.elements.chunks_exact_mut(length.max(1)).enumerate() {
            self.scales.push(quantize_activations(&a.data[r * a.row_stride..][..a.columns], to));
        }
        self.scales.resize(a.rows, 0.0);
    }
}

/// All tiles of some columns of `C`.
pub(crate) struct Q4Tiles<'a, D> {
    a: &'a Q4Activations,
    b: ReducedRows<'a>,
    blocks: usize,
    c: Columns<'a, f32>,
    dot: PhantomData<D>,
}

impl<'a, D: Q4Dot> Q4Tiles<'a, D> {
    pub(crate) fn new(a: &'a Q4Activations, b: ReducedRows<'a>, c: Columns<'a, f32>) -> Self {
        let blocks = b.columns.div_ceil(BLOCK);
        assert!(D::is_available() && a.elements.len() == a.scales.len() * blocks * BLOCK);
        Self { a, b, blocks, c, dot: PhantomData }
    }

    pub(crate) fn run(&self, columns: Range<usize>) {
        let bytes = RowBytes { a: self.blocks * BLOCK, b: self.b.stride };
        tiles::<_, 4, 2>(self, self.a.scales.len(), columns, bytes);
    }
}

impl<D: Q4Dot> TileKernel for Q4Tiles<'_, D> {
    fn tile<const MR: usize, const NR: usize>(&self, row: usize, column: usize) {
        let (length, blocks) = (self.blocks * BLOCK, self.blocks);
        let a = &self.a.elements[row * length..(row + MR) * length];
        let b = &self.b.elements[column * self.b.stride..(column + NR) * self.b.stride];
        let scales = &self.b.scales[column * blocks..(column + NR) * blocks];
        // SAFETY: the constructor has checked that the instructions are there, and the slices hold so many rows.
        let sums = unsafe { D::dots::<MR, NR>(a, b, scales, blocks) };
        for (i, sums) in sums.iter().enumerate() {
            for (j, x) in sums.iter().enumerate() {
                let sum = ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
                // SAFETY: the tile lies within the rows of `a` and the columns of this thread.
                unsafe { self.c.put(row + i, column + j, false, sum * self.a.scales[row + i]) };
            }
        }
    }
}

/// No instructions but the language's own.
pub(crate) struct Portable;

impl Q4Dot for Portable {
    fn is_available() -> bool {
        true
    }

    #[expect(clippy::needless_range_loop, reason = "two arrays have the same index")]
    unsafe fn dots<const MR: usize, const NR: usize>(
        a: &[i8],
        b: &[u8],
        scales: &[u16],
        blocks: usize,
    ) -> [[[f32; LANES]; NR]; MR] {
        let mut sums = [[[0.0; LANES]; NR]; MR];
        for block in 0..blocks {
            for j in 0..NR {
                let at = j * blocks + block;
                let scale = f16::from_bits(scales[at]).to_f32();
                let mut bytes = [0; BLOCK_BYTES];
                bytes.copy_from_slice(&b[at * BLOCK_BYTES..][..BLOCK_BYTES]);
                let w = elements(&bytes);
                for i in 0..MR {
                    let x = &a[(i * blocks + block) * BLOCK..][..BLOCK];
                    for (l, (w, x)) in w.chunks_exact(4).zip(x.chunks_exact(4)).enumerate() {
                        let sum: i32 = w.iter().zip(x).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum();
                        sums[i][j][l] = scale.mul_add(sum as f32, sums[i][j][l]);
                    }
                }
            }
        }
        sums
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use super::{BLOCK, BLOCK_BYTES, LANES, Q4Dot};
    use std::arch::x86_64::{
        __m256, _mm_and_si128, _mm_cvtph_ps, _mm_cvtsi32_si128, _mm_loadu_si128, _mm_set1_epi8, _mm_srli_epi16,
        _mm256_abs_epi8, _mm256_broadcastss_ps, _mm256_cvtepi32_ps, _mm256_dpbusd_avx_epi32, _mm256_dpbusd_epi32,
        _mm256_fmadd_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_set_m128i,
        _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_sign_epi8,
        _mm256_sub_epi8,
    };

    /// Defines instructions by the features that they need, and how magnitudes without a sign, times signed elements, are
    /// added up in eight lanes.
    macro_rules! instructions {
        ($(#[$doc:meta])* $name:ident, $run:ident, $features:literal, [$($feature:tt),*], |$x:ident, $w:ident| $lanes:expr) => {
            $(#[$doc])*
            pub(crate) struct $name;

            impl Q4Dot for $name {
                fn is_available() -> bool {
                    true $(&& is_x86_feature_detected!($feature))*
                }

                unsafe fn dots<const MR: usize, const NR: usize>(
                    a: &[i8],
                    b: &[u8],
                    scales: &[u16],
                    blocks: usize,
                ) -> [[[f32; LANES]; NR]; MR] {
                    // SAFETY: the caller's.
                    unsafe { $run(a.as_ptr(), b.as_ptr(), scales.as_ptr(), blocks) }
                }
            }

            /// # Safety
            /// As [`Q4Dot::dots`].
            #[target_feature(enable = $features)]
            unsafe fn $run<const MR: usize, const NR: usize>(
                a: *const i8,
                b: *const u8,
                scales: *const u16,
                blocks: usize,
            ) -> [[[f32; LANES]; NR]; MR] {
                let mut sums = [[_mm256_setzero_ps(); NR]; MR];
                for block in 0..blocks {
                    let mut w = [_mm256_setzero_si256(); NR];
                    let mut scale = [_mm256_setzero_ps(); NR];
                    for j in 0..NR {
                        let at = j * blocks + block;
                        // SAFETY: row `j` has that block, and its scale.
                        let (bytes, bits) = unsafe { (_mm_loadu_si128(b.add(at * BLOCK_BYTES).cast()), *scales.add(at)) };
                        let low = _mm_and_si128(bytes, _mm_set1_epi8(15));
                        let high = _mm_and_si128(_mm_srli_epi16::<4>(bytes), _mm_set1_epi8(15));
                        w[j] = _mm256_sub_epi8(_mm256_set_m128i(high, low), _mm256_set1_epi8(8));
                        scale[j] = _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(bits.into())));
                    }
                    for i in 0..MR {
                        // SAFETY: row `i` has that block.
                        let x = unsafe { _mm256_loadu_si256(a.add((i * blocks + block) * BLOCK).cast()) };
                        let magnitudes = _mm256_abs_epi8(x);
                        for j in 0..NR {
                            let ($x, $w) = (magnitudes, _mm256_sign_epi8(w[j], x));
                            sums[i][j] = _mm256_fmadd_ps(scale[j], _mm256_cvtepi32_ps($lanes), sums[i][j]);
                        }
                    }
                }
                let mut lanes = [[[0.0; LANES]; NR]; MR];
                for i in 0..MR {
                    for j in 0..NR {
                        // SAFETY: both are eight numbers.
                        lanes[i][j] = unsafe { std::mem::transmute::<__m256, [f32; LANES]>(sums[i][j]) };
                    }
                }
                lanes
            }
        };
    }

    instructions! {
        /// AVX2: pairs are added in 16 bits, which hold 2 · 127 · 8, and pairs of those in 32.
        Avx2, dots_avx2, "avx2,fma,f16c", ["avx2", "fma", "f16c"],
        |x, w| _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1))
    }

    instructions! {
        /// AVX-VNNI.
        AvxVnni, dots_avx_vnni, "avx2,fma,f16c,avxvnni", ["avx2", "fma", "f16c", "avxvnni"],
        |x, w| _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), x, w)
    }

    instructions! {
        /// AVX-512 VNNI, with registers of 256 bits: one holds a block.
        Avx512Vnni, dots_avx512_vnni, "avx2,fma,f16c,avx512f,avx512vl,avx512vnni",
        ["avx2", "fma", "f16c", "avx512f", "avx512vl", "avx512vnni"],
        |x, w| _mm256_dpbusd_epi32(_mm256_setzero_si256(), x, w)
    }
}
