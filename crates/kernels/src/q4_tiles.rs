//! Tiles of int8 activations and 4-bit weights. The integers of a block are added up exactly, and the blocks follow each other, each times
//! its scale, in f32. So every processor gives the same bits. Weights are stored 8 larger than they are: the sum of a block begins with −8
//! times that of the activations.

use crate::int8_activations::Int8Activations;
use crate::panel_weight::PANEL;
use crate::q4_quantization::BLOCK;
use crate::reduced_tiles::{Place, TileKernel};
use crate::reduced_weight::ReducedRows;
use half::f16;
use std::marker::PhantomData;

/// Instructions that multiply elements of a block and add them up.
pub(crate) trait Q4Dot: Sync {
    /// Whether this processor has them.
    fn is_available() -> bool;

    /// Multiplies each row with each of a panel's rows, without the scale of the activations.
    ///
    /// # Safety
    /// The processor has the instructions. Of each block a row has 32 elements and a sum, and a panel 64 units and 16 scales.
    unsafe fn dots<const MR: usize, const NR: usize>(
        rows: &[Row; MR],
        panels: &[Panel; NR],
        blocks: usize,
    ) -> [[[f32; PANEL]; NR]; MR];
}

/// A row of activations.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    elements: *const i8,
    /// Of each block.
    sums: *const i32,
}

/// A panel of a weight.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    units: *const u32,
    scales: *const f16,
}

/// Tiles by these instructions.
pub(crate) struct Q4Tiles<'a, D> {
    a: &'a Int8Activations,
    w: ReducedRows<'a>,
    dot: PhantomData<D>,
}

impl<'a, D: Q4Dot> Q4Tiles<'a, D> {
    pub(crate) fn new(a: &'a Int8Activations, w: ReducedRows<'a>) -> Self {
        assert!(D::is_available(), "instructions that are not there");
        Self { a, w, dot: PhantomData }
    }
}

impl<D: Q4Dot> TileKernel for Q4Tiles<'_, D> {
    #[inline(always)]
    fn tile<const MR: usize, const NR: usize>(&self, place: Place) -> [[[f32; PANEL]; NR]; MR] {
        let blocks = self.w.columns.div_ceil(BLOCK);
        let rows = std::array::from_fn(|i| {
            let (elements, sums) = (self.a.row(place.row + i), self.a.block_sums(place.row + i));
            Row { elements: elements[..blocks * BLOCK].as_ptr(), sums: sums[..blocks].as_ptr() }
        });
        let panels = std::array::from_fn(|j| {
            let (units, scales) = (self.w.panel(place.panel + j), self.w.panel_scales(place.panel + j));
            let scales: &[f16] = bytemuck::cast_slice(scales);
            Panel { units: units[..blocks * 4 * PANEL].as_ptr(), scales: scales[..blocks * PANEL].as_ptr() }
        });
        // SAFETY: the constructor has checked that the instructions are there; the slices have as many elements.
        let mut results = unsafe { D::dots::<MR, NR>(&rows, &panels, blocks) };
        for (row, results) in (place.row..).zip(&mut results) {
            let scale = self.a.scale(row);
            results.as_flattened_mut().iter_mut().for_each(|result| *result *= scale);
        }
        results
    }
}

/// No instructions but the language's own.
pub(crate) struct Portable;

impl Q4Dot for Portable {
    fn is_available() -> bool {
        true
    }

    unsafe fn dots<const MR: usize, const NR: usize>(
        rows: &[Row; MR],
        panels: &[Panel; NR],
        blocks: usize,
    ) -> [[[f32; PANEL]; NR]; MR] {
        rows.map(|row| {
            panels.map(|panel| {
                // SAFETY: the caller's.
                let (x, sums, w, scales) = unsafe {
                    (
                        std::slice::from_raw_parts(row.elements.cast::<[[i8; 4]; 8]>(), blocks),
                        std::slice::from_raw_parts(row.sums, blocks),
                        std::slice::from_raw_parts(panel.units.cast::<[[u32; PANEL]; 4]>(), blocks),
                        std::slice::from_raw_parts(panel.scales.cast::<[f16; PANEL]>(), blocks),
                    )
                };
                std::array::from_fn(|l| {
                    (0..blocks).fold(0.0, |result, b| {
                        let mut sum = -8 * sums[b];
                        for (unit, lines) in w[b].iter().enumerate() {
                            for (i, byte) in lines[l].to_le_bytes().into_iter().enumerate() {
                                sum += i32::from(byte & 15) * i32::from(x[b][unit][i]);
                                sum += i32::from(byte >> 4) * i32::from(x[b][4 + unit][i]);
                            }
                        }
                        scales[b][l].to_f32().mul_add(sum as f32, result)
                    })
                })
            })
        })
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use super::{PANEL, Panel, Q4Dot, Row};
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256, _mm256_cvtepi32_ps, _mm256_cvtph_ps,
        _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16,
        _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setzero_ps, _mm256_setzero_si256,
        _mm256_srli_epi16, _mm256_storeu_ps, _mm512_and_si512, _mm512_cvtepi32_ps, _mm512_cvtph_ps,
        _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_si512, _mm512_set1_epi8, _mm512_set1_epi32,
        _mm512_setzero_ps, _mm512_setzero_si512, _mm512_srli_epi32, _mm512_storeu_ps,
    };

    /// Defines instructions with registers of 256 bits: how a block is multiplied and added to sums, and what those come to.
    macro_rules! instructions {
        (
            $(#[$doc:meta])* $name:ident, $run:ident, $features:literal, [$($feature:tt),*],
            |$sums:ident, $w:ident, $x:ident| $add:expr, |$block:ident| $widened:expr
        ) => {
            $(#[$doc])*
            pub(crate) struct $name;

            impl Q4Dot for $name {
                fn is_available() -> bool {
                    true $(&& is_x86_feature_detected!($feature))*
                }

                #[inline(always)]
                unsafe fn dots<const MR: usize, const NR: usize>(
                    rows: &[Row; MR],
                    panels: &[Panel; NR],
                    blocks: usize,
                ) -> [[[f32; PANEL]; NR]; MR] {
                    // SAFETY: the caller's.
                    unsafe { $run(rows, panels, blocks) }
                }
            }

            /// # Safety
            /// As [`Q4Dot::dots`].
            #[target_feature(enable = $features)]
            unsafe fn $run<const MR: usize, const NR: usize>(
                rows: &[Row; MR],
                panels: &[Panel; NR],
                blocks: usize,
            ) -> [[[f32; PANEL]; NR]; MR] {
                let mut results = [[[0.0; PANEL]; NR]; MR];
                let (rows, four) = (*rows, _mm256_set1_epi8(15));
                for (j, half) in (0..NR).flat_map(|j| [(j, 0), (j, 8)]) {
                    let mut sums = [_mm256_setzero_ps(); MR];
                    for block in 0..blocks {
                        let mut of_block = [_mm256_setzero_si256(); MR];
                        for unit in 0..4 {
                            // SAFETY: half of the panel's units of this number, of this block.
                            let w = unsafe {
                                _mm256_loadu_si256(panels[j].units.add((4 * block + unit) * PANEL + half).cast())
                            };
                            let low = _mm256_and_si256(w, four);
                            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(w), four);
                            for i in 0..MR {
                                let x = rows[i].elements.cast::<i32>();
                                // SAFETY: eight elements of this block.
                                let x = unsafe {
                                    [
                                        x.add(8 * block + unit).read_unaligned(),
                                        x.add(8 * block + 4 + unit).read_unaligned(),
                                    ]
                                };
                                let ($sums, $w, $x) = (of_block[i], low, _mm256_set1_epi32(x[0]));
                                let $sums = $add;
                                let ($w, $x) = (high, _mm256_set1_epi32(x[1]));
                                of_block[i] = $add;
                            }
                        }
                        // SAFETY: half of the panel's scales of this block, and the sums of it.
                        unsafe {
                            let scale = panels[j].scales.add(block * PANEL + half);
                            let scale = _mm256_cvtph_ps(_mm_loadu_si128(scale.cast()));
                            for i in 0..MR {
                                let ($block, start) = (of_block[i], _mm256_set1_epi32(-8 * *rows[i].sums.add(block)));
                                let sum = _mm256_cvtepi32_ps(_mm256_add_epi32($widened, start));
                                sums[i] = _mm256_fmadd_ps(scale, sum, sums[i]);
                            }
                        }
                    }
                    for i in 0..MR {
                        // SAFETY: half of the results.
                        unsafe { _mm256_storeu_ps(results[i][j].as_mut_ptr().add(half), sums[i]) };
                    }
                }
                results
            }
        };
    }

    instructions! {
        /// AVX2: pairs, eight of them for each block, are added in 16 bits, which hold 16 · 127 · 15.
        Avx2, dots_avx2, "avx2,fma,f16c", ["avx2", "fma", "f16c"],
        |sums, w, x| _mm256_add_epi16(sums, _mm256_maddubs_epi16(w, x)),
        |block| _mm256_madd_epi16(block, _mm256_set1_epi16(1))
    }

    instructions! {
        /// AVX-VNNI.
        AvxVnni, dots_avx_vnni, "avx2,fma,f16c,avxvnni", ["avx2", "fma", "f16c", "avxvnni"],
        |sums, w, x| _mm256_dpbusd_avx_epi32(sums, w, x),
        |block| block
    }

    /// AVX-512 VNNI, with registers of 512 bits.
    pub(crate) struct Avx512Vnni;

    impl Q4Dot for Avx512Vnni {
        fn is_available() -> bool {
            is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
        }

        #[inline(always)]
        unsafe fn dots<const MR: usize, const NR: usize>(
            rows: &[Row; MR],
            panels: &[Panel; NR],
            blocks: usize,
        ) -> [[[f32; PANEL]; NR]; MR] {
            // SAFETY: the caller's.
            unsafe { dots_avx512_vnni(rows, panels, blocks) }
        }
    }

    /// # Safety
    /// As [`Q4Dot::dots`].
    #[target_feature(enable = "avx512f,avx512vnni,avx2")]
    unsafe fn dots_avx512_vnni<const MR: usize, const NR: usize>(
        rows: &[Row; MR],
        panels: &[Panel; NR],
        blocks: usize,
    ) -> [[[f32; PANEL]; NR]; MR] {
        let (mut sums, four) = ([[_mm512_setzero_ps(); NR]; MR], _mm512_set1_epi8(15));
        let (x, w) = (rows.map(|row| row.elements.cast::<i32>()), panels.map(|panel| panel.units));
        for block in 0..blocks {
            let mut of_block = [[_mm512_setzero_si512(); NR]; MR];
            for i in 0..MR {
                // SAFETY: the sum of this block.
                of_block[i] = [_mm512_set1_epi32(-8 * unsafe { *rows[i].sums.add(block) }); NR];
            }
            for unit in 0..4 {
                let mut low = [_mm512_setzero_si512(); NR];
                let mut high = [_mm512_setzero_si512(); NR];
                for j in 0..NR {
                    // SAFETY: the panel's units of this number, of this block.
                    let w = unsafe { _mm512_loadu_si512(w[j].add((4 * block + unit) * PANEL).cast()) };
                    low[j] = _mm512_and_si512(w, four);
                    high[j] = _mm512_and_si512(_mm512_srli_epi32::<4>(w), four);
                }
                for i in 0..MR {
                    // SAFETY: eight elements of this block.
                    let [first, second] = unsafe {
                        [x[i].add(8 * block + unit).read_unaligned(), x[i].add(8 * block + 4 + unit).read_unaligned()]
                    };
                    let [first, second] = [_mm512_set1_epi32(first), _mm512_set1_epi32(second)];
                    for j in 0..NR {
                        of_block[i][j] = _mm512_dpbusd_epi32(of_block[i][j], low[j], first);
                    }
                    for j in 0..NR {
                        of_block[i][j] = _mm512_dpbusd_epi32(of_block[i][j], high[j], second);
                    }
                }
            }
            for j in 0..NR {
                // SAFETY: the panel's scales of this block.
                let scale = unsafe { _mm256_loadu_si256(panels[j].scales.add(block * PANEL).cast()) };
                let scale = _mm512_cvtph_ps(scale);
                for i in 0..MR {
                    sums[i][j] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(of_block[i][j]), sums[i][j]);
                }
            }
        }
        let mut results = [[[0.0; PANEL]; NR]; MR];
        for i in 0..MR {
            for j in 0..NR {
                // SAFETY: a panel's results.
                unsafe { _mm512_storeu_ps(results[i][j].as_mut_ptr(), sums[i][j]) };
            }
        }
        results
    }
}
