//! Tiles of int8 activations and int8 weights, added up exactly in 32 bits. Every processor gives the same integers, so where one
//! has instructions for it the result is what it is anywhere. Weights are stored 128 larger than they are: the sum has −128 times
//! that of the activations added. Activations of 16 bits are two planes of int8, of which the first one's sums are shifted by 8 bits before
//! the second one's are added. Sums may wrap on the way; what they come to fits.

use crate::int8_activations::Int8Activations;
use crate::panel_weight::PANEL;
use crate::reduced_tiles::{Place, TileKernel};
use crate::reduced_weight::ReducedRows;
use std::marker::PhantomData;

/// Instructions that multiply int8 elements and add them up.
pub(crate) trait Int8Dot: Sync {
    /// Whether they take activations in 16 bits.
    const IS_WIDE: bool;

    /// Whether this processor has them.
    fn is_available() -> bool;

    /// Multiplies each row of activations with each of a panel's 16 rows.
    ///
    /// # Safety
    /// The processor has the instructions. Each row of activations has the planes, with four elements for each unit, and each panel 16
    /// units for each.
    unsafe fn dots<const MR: usize, const NR: usize>(
        rows: &[Row; MR],
        panels: &[Panel; NR],
        depth: Depth,
    ) -> [[[f32; PANEL]; NR]; MR];
}

/// The inner dimension.
#[derive(Clone, Copy)]
pub(crate) struct Depth {
    /// Of four elements each.
    units: usize,
    /// Of activations.
    planes: usize,
    /// The units from one plane of a row to the next.
    stride: usize,
}

/// A row of activations.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// Each in 8 or 16 bits.
    elements: *const u8,
    /// What its sums lack.
    offset: i32,
    scale: f32,
}

/// A panel of a weight.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    units: *const u32,
    scales: *const f32,
}

/// Tiles by these instructions.
pub(crate) struct Int8Tiles<'a, D> {
    a: &'a Int8Activations,
    w: ReducedRows<'a>,
    dot: PhantomData<D>,
}

impl<'a, D: Int8Dot> Int8Tiles<'a, D> {
    pub(crate) fn new(a: &'a Int8Activations, w: ReducedRows<'a>) -> Self {
        assert!(D::is_available(), "instructions that are not there");
        Self { a, w, dot: PhantomData }
    }
}

impl<D: Int8Dot> TileKernel for Int8Tiles<'_, D> {
    #[inline(always)]
    fn tile<const MR: usize, const NR: usize>(&self, place: Place) -> [[[f32; PANEL]; NR]; MR] {
        let units = self.w.columns.div_ceil(4);
        let depth = Depth { units, planes: self.a.planes(), stride: self.a.length() / 4 };
        let rows = std::array::from_fn(|i| {
            let row = place.row + i;
            let elements = match D::IS_WIDE {
                true => bytemuck::cast_slice(self.a.wide_row(row)),
                false => bytemuck::cast_slice(self.a.row(row)),
            };
            Row {
                elements: <[u8]>::as_ptr(elements),
                offset: self.a.sum(row).wrapping_mul(-128),
                scale: self.a.scale(row),
            }
        });
        let panels = std::array::from_fn(|j| {
            let panel = place.panel + j;
            let scales: &[f32; PANEL] = bytemuck::from_bytes(bytemuck::cast_slice(self.w.panel_scales(panel)));
            Panel { units: self.w.panel(panel)[..PANEL * units].as_ptr(), scales: scales.as_ptr() }
        });
        // SAFETY: the constructor has checked that the instructions are there; the slices have as many elements, as rows are padded.
        unsafe { D::dots(&rows, &panels, depth) }
    }
}

/// No instructions but the language's own.
pub(crate) struct Portable;

impl Int8Dot for Portable {
    const IS_WIDE: bool = false;

    fn is_available() -> bool {
        true
    }

    unsafe fn dots<const MR: usize, const NR: usize>(
        rows: &[Row; MR],
        panels: &[Panel; NR],
        depth: Depth,
    ) -> [[[f32; PANEL]; NR]; MR] {
        rows.map(|row| {
            panels.map(|panel| {
                // SAFETY: the caller's.
                let (x, w, scales) = unsafe {
                    (
                        std::slice::from_raw_parts(row.elements.cast::<[i8; 4]>(), depth.planes * depth.stride),
                        std::slice::from_raw_parts(panel.units.cast::<[u32; PANEL]>(), depth.units),
                        &*panel.scales.cast::<[f32; PANEL]>(),
                    )
                };
                std::array::from_fn(|l| {
                    let dot = |(x, w): (&[i8; 4], &[u32; PANEL])| {
                        let terms = x.iter().zip(w[l].to_le_bytes()).map(|(&x, w)| i32::from(x) * i32::from(w));
                        terms.sum::<i32>()
                    };
                    let planes = x.chunks(depth.stride.max(1));
                    let sums = planes.map(|x| x.iter().zip(w).map(dot).fold(0, i32::wrapping_add));
                    let sum = sums.fold(0_i32, |sum, plane| (sum << 8).wrapping_add(plane)).wrapping_add(row.offset);
                    sum as f32 * (row.scale * scales[l])
                })
            })
        })
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use super::{Depth, Int8Dot, PANEL, Panel, Row};
    use std::arch::x86_64::{
        __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi16, _mm256_dpbusd_avx_epi32,
        _mm256_hadd_epi32, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_mul_ps,
        _mm256_permute4x64_epi64, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_ps, _mm256_setzero_si256,
        _mm256_slli_epi32, _mm256_storeu_ps, _mm512_add_epi32, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32,
        _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512,
        _mm512_slli_epi32, _mm512_storeu_ps,
    };

    /// AVX2: both are widened to 16 bits, pairs multiplied and added in 32.
    pub(crate) struct Avx2;

    impl Int8Dot for Avx2 {
        const IS_WIDE: bool = true;

        fn is_available() -> bool {
            is_x86_feature_detected!("avx2")
        }

        #[inline(always)]
        unsafe fn dots<const MR: usize, const NR: usize>(
            rows: &[Row; MR],
            panels: &[Panel; NR],
            depth: Depth,
        ) -> [[[f32; PANEL]; NR]; MR] {
            // SAFETY: the caller's.
            unsafe { dots_avx2(rows, panels, depth) }
        }
    }

    /// AVX-VNNI: four elements are multiplied and added in one instruction.
    pub(crate) struct AvxVnni;

    impl Int8Dot for AvxVnni {
        const IS_WIDE: bool = false;

        fn is_available() -> bool {
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni")
        }

        #[inline(always)]
        unsafe fn dots<const MR: usize, const NR: usize>(
            rows: &[Row; MR],
            panels: &[Panel; NR],
            depth: Depth,
        ) -> [[[f32; PANEL]; NR]; MR] {
            // SAFETY: the caller's.
            unsafe { dots_avx_vnni(rows, panels, depth) }
        }
    }

    /// The same with registers of 512 bits, and 32 of them.
    pub(crate) struct Avx512Vnni;

    impl Int8Dot for Avx512Vnni {
        const IS_WIDE: bool = false;

        fn is_available() -> bool {
            is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
        }

        #[inline(always)]
        unsafe fn dots<const MR: usize, const NR: usize>(
            rows: &[Row; MR],
            panels: &[Panel; NR],
            depth: Depth,
        ) -> [[[f32; PANEL]; NR]; MR] {
            // SAFETY: the caller's.
            unsafe { dots_avx512_vnni(rows, panels, depth) }
        }
    }

    /// # Safety
    /// As [`Int8Dot::dots`].
    #[target_feature(enable = "avx2")]
    unsafe fn dots_avx2<const MR: usize, const NR: usize>(
        rows: &[Row; MR],
        panels: &[Panel; NR],
        depth: Depth,
    ) -> [[[f32; PANEL]; NR]; MR] {
        let mut results = [[[0.0; PANEL]; NR]; MR];
        for j in 0..NR {
            // SAFETY: the caller's.
            unsafe {
                // Few rows read a panel once; of many, the sums of half a panel are all that registers hold.
                match MR <= 2 {
                    true => quarters_avx2::<MR, NR, 4>(rows, panels, depth, j, 0, &mut results),
                    false => {
                        quarters_avx2::<MR, NR, 2>(rows, panels, depth, j, 0, &mut results);
                        quarters_avx2::<MR, NR, 2>(rows, panels, depth, j, 2, &mut results);
                    }
                }
            }
        }
        results
    }

    /// Some quarters of panel `j`: two or four from `first` on.
    ///
    /// # Safety
    /// As [`Int8Dot::dots`].
    #[expect(clippy::needless_range_loop, reason = "the loops are unrolled, and what they index becomes registers")]
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn quarters_avx2<const MR: usize, const NR: usize, const QUARTERS: usize>(
        rows: &[Row; MR],
        panels: &[Panel; NR],
        depth: Depth,
        j: usize,
        first: usize,
        results: &mut [[[f32; PANEL]; NR]; MR],
    ) {
        // Each register has four rows of the panel, of each the sum of the first two elements of units and that of the others.
        let mut sums = [[_mm256_setzero_si256(); QUARTERS]; MR];
        let (rows, panel) = (*rows, panels[j]);
        for plane in 0..depth.planes {
            if plane > 0 {
                for i in 0..MR {
                    for q in 0..QUARTERS {
                        sums[i][q] = _mm256_slli_epi32::<8>(sums[i][q]);
                    }
                }
            }
            for unit in 0..depth.units {
                let mut w = [_mm256_setzero_si256(); QUARTERS];
                for q in 0..QUARTERS {
                    // SAFETY: a quarter of the panel's units of this number.
                    w[q] = _mm256_cvtepu8_epi16(unsafe {
                        _mm_loadu_si128(panel.units.add(unit * PANEL + 4 * (first + q)).cast())
                    });
                }
                for i in 0..MR {
                    // SAFETY: four of the row's elements, in 16 bits.
                    let x = _mm256_set1_epi64x(unsafe {
                        rows[i].elements.cast::<i64>().add(plane * depth.stride + unit).read_unaligned()
                    });
                    for q in 0..QUARTERS {
                        sums[i][q] = _mm256_add_epi32(sums[i][q], _mm256_madd_epi16(x, w[q]));
                    }
                }
            }
        }
        for i in 0..MR {
            for q in (0..QUARTERS).step_by(2) {
                let pairs = _mm256_hadd_epi32(sums[i][q], sums[i][q + 1]);
                let sums = _mm256_permute4x64_epi64::<0b11_01_10_00>(pairs);
                // SAFETY: half a panel's scales, and half of the results.
                unsafe { put_avx2(sums, rows[i], panel, (first + q) / 2, &mut results[i][j]) };
            }
        }
    }

    /// Half a panel's results.
    ///
    /// # Safety
    /// As [`Int8Dot::dots`].
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn put_avx2(sums: __m256i, row: Row, panel: Panel, half: usize, results: &mut [f32; PANEL]) {
        let sums = _mm256_cvtepi32_ps(_mm256_add_epi32(sums, _mm256_set1_epi32(row.offset)));
        // SAFETY: a panel has 16 scales, and `half` is 0 or 1.
        unsafe {
            let scale = _mm256_mul_ps(_mm256_set1_ps(row.scale), _mm256_loadu_ps(panel.scales.add(8 * half)));
            _mm256_storeu_ps(results.as_mut_ptr().add(8 * half), _mm256_mul_ps(sums, scale));
        }
    }

    /// # Safety
    /// As [`Int8Dot::dots`].
    #[expect(clippy::needless_range_loop, reason = "the loops are unrolled, and what they index becomes registers")]
    #[target_feature(enable = "avx2,avxvnni")]
    unsafe fn dots_avx_vnni<const MR: usize, const NR: usize>(
        rows: &[Row; MR],
        panels: &[Panel; NR],
        depth: Depth,
    ) -> [[[f32; PANEL]; NR]; MR] {
        let mut results = [[[0.0; PANEL]; NR]; MR];
        let rows = *rows;
        for j in 0..NR {
            let (panel, mut sums) = (panels[j], [[_mm256_setzero_si256(); 2]; MR]);
            for plane in 0..depth.planes {
                if plane > 0 {
                    for i in 0..MR {
                        for half in 0..2 {
                            sums[i][half] = _mm256_slli_epi32::<8>(sums[i][half]);
                        }
                    }
                }
                for unit in 0..depth.units {
                    let mut w = [_mm256_setzero_si256(); 2];
                    for half in 0..2 {
                        // SAFETY: half of the panel's units of this number.
                        w[half] = unsafe { _mm256_loadu_si256(panel.units.add(unit * PANEL + 8 * half).cast()) };
                    }
                    for i in 0..MR {
                        // SAFETY: four of the row's elements.
                        let x = _mm256_set1_epi32(unsafe {
                            rows[i].elements.cast::<i32>().add(plane * depth.stride + unit).read_unaligned()
                        });
                        for half in 0..2 {
                            sums[i][half] = _mm256_dpbusd_avx_epi32(sums[i][half], w[half], x);
                        }
                    }
                }
            }
            for i in 0..MR {
                for half in 0..2 {
                    // SAFETY: half a panel's scales, and half of the results.
                    unsafe { put_avx2(sums[i][half], rows[i], panel, half, &mut results[i][j]) };
                }
            }
        }
        results
    }

    /// # Safety
    /// As [`Int8Dot::dots`].
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn dots_avx512_vnni<const MR: usize, const NR: usize>(
        rows: &[Row; MR],
        panels: &[Panel; NR],
        depth: Depth,
    ) -> [[[f32; PANEL]; NR]; MR] {
        let mut sums = [[_mm512_setzero_si512(); NR]; MR];
        // Opaque, or LLVM rematerialises the pointers in the loop.
        let (x, w) =
            std::hint::black_box((rows.map(|row| row.elements.cast::<i32>()), panels.map(|panel| panel.units)));
        for plane in 0..depth.planes {
            if plane > 0 {
                // By index: through references, the sums would leave their registers.
                #[expect(clippy::needless_range_loop)]
                for i in 0..MR {
                    for j in 0..NR {
                        sums[i][j] = _mm512_slli_epi32::<8>(sums[i][j]);
                    }
                }
            }
            for unit in 0..depth.units {
                let mut lines = [_mm512_setzero_si512(); NR];
                for j in 0..NR {
                    // SAFETY: the panel's units of this number.
                    lines[j] = unsafe { _mm512_loadu_si512(w[j].add(unit * PANEL).cast()) };
                }
                for i in 0..MR {
                    // SAFETY: four of the row's elements.
                    let x = _mm512_set1_epi32(unsafe { x[i].add(plane * depth.stride + unit).read_unaligned() });
                    for j in 0..NR {
                        sums[i][j] = _mm512_dpbusd_epi32(sums[i][j], lines[j], x);
                    }
                }
            }
        }
        let mut results = [[[0.0; PANEL]; NR]; MR];
        for i in 0..MR {
            for j in 0..NR {
                // SAFETY: a panel has 16 scales.
                unsafe {
                    let scale = _mm512_mul_ps(_mm512_set1_ps(rows[i].scale), _mm512_loadu_ps(panels[j].scales));
                    let sum = _mm512_add_epi32(sums[i][j], _mm512_set1_epi32(rows[i].offset));
                    let result = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
                    _mm512_storeu_ps(results[i][j].as_mut_ptr(), result);
                }
            }
        }
        results
    }
}
