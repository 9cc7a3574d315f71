//! Sums of the lanes of vector registers, always in the same order: halves of 16 lanes onto each other, and then of 8 lanes
//! `((0 + 2) + (1 + 3)) + ((4 + 6) + (5 + 7))`.

use pulp::Simd;

/// The sum of each register's lanes.
#[inline(always)]
pub(crate) fn lane_sums<S: Simd, const N: usize>(simd: S, registers: &[S::f32s; N]) -> [f32; N] {
    let mut sums = [0.0; N];
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if size_of::<S::f32s>() >= size_of::<x86::__m256>() {
        while size_of::<S::f32s>() == size_of::<x86::__m512>() && done + 16 <= N {
            let mut sixteen = [registers[done]; 16];
            sixteen.copy_from_slice(&registers[done..done + 16]);
            // SAFETY: registers of 64 bytes are those for AVX-512, by `Arch::dispatch`.
            sums[done..done + 16].copy_from_slice(&unsafe { x86::sum_sixteen::<S>(sixteen) });
            done += 16;
        }
        while done + 4 <= N {
            // Not by a closure: it would not be inlined with the instructions of `S`.
            let (a, b) = (x86::eight_lanes::<S>(registers[done]), x86::eight_lanes::<S>(registers[done + 1]));
            let (c, d) = (x86::eight_lanes::<S>(registers[done + 2]), x86::eight_lanes::<S>(registers[done + 3]));
            // SAFETY: `Arch::dispatch` makes no other types with registers of 32 bytes or more than those for AVX2 and AVX-512.
            let four = unsafe { x86::sum_four([a, b, c, d]) };
            sums[done] = four[0];
            sums[done + 1] = four[1];
            sums[done + 2] = four[2];
            sums[done + 3] = four[3];
            done += 4;
        }
    }
    for i in done..N {
        sums[i] = lane_sum(simd, registers[i]);
    }
    sums
}

#[inline(always)]
fn lane_sum<S: Simd>(simd: S, register: S::f32s) -> f32 {
    let mut lanes = [0.0; 16];
    let lanes = &mut lanes[..S::F32_LANES];
    simd.partial_store_f32s(lanes, register);
    match lanes {
        [x @ .., _, _, _, _, _, _, _, _] if x.len() == 8 => {
            let (low, high) = lanes.split_at_mut(8);
            low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
            sum_eight(low)
        }
        lanes if lanes.len() == 8 => sum_eight(lanes),
        lanes => lanes.iter().sum(),
    }
}

#[inline(always)]
fn sum_eight(x: &[f32]) -> f32 {
    ((x[0] + x[2]) + (x[1] + x[3])) + ((x[4] + x[6]) + (x[5] + x[7]))
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use pulp::Simd;
    pub(super) use std::arch::x86_64::{__m256, __m512};
    use std::arch::x86_64::{
        _mm_add_ps, _mm256_add_ps, _mm256_castps256_ps128, _mm256_extractf128_ps, _mm256_shuffle_ps,
        _mm256_unpackhi_ps, _mm256_unpacklo_ps, _mm512_add_ps, _mm512_shuffle_f32x4, _mm512_shuffle_ps,
        _mm512_unpackhi_ps, _mm512_unpacklo_ps,
    };

    /// A register of 8 lanes, or the sum of the halves of one of 16.
    #[inline(always)]
    pub(super) fn eight_lanes<S: Simd>(register: S::f32s) -> __m256 {
        if size_of::<S::f32s>() == 32 {
            // SAFETY: both are eight numbers.
            return unsafe { std::mem::transmute_copy::<S::f32s, __m256>(&register) };
        }
        // SAFETY: both are sixteen numbers, and the processor has AVX.
        unsafe {
            let [low, high] = std::mem::transmute_copy::<S::f32s, [__m256; 2]>(&register);
            _mm256_add_ps(low, high)
        }
    }

    /// The sums of four registers: each pair is interleaved and added, twice, and then the halves.
    ///
    /// # Safety
    /// The processor must have AVX.
    #[target_feature(enable = "avx")]
    #[inline]
    pub(super) unsafe fn sum_four([a, b, c, d]: [__m256; 4]) -> [f32; 4] {
        let ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        let sums = _mm256_add_ps(_mm256_shuffle_ps::<0x44>(ab, cd), _mm256_shuffle_ps::<0xEE>(ab, cd));
        let sums = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps::<1>(sums));
        // SAFETY: both are four numbers.
        unsafe { std::mem::transmute::<std::arch::x86_64::__m128, [f32; 4]>(sums) }
    }

    /// The sums of sixteen registers: halves onto each other, then as of four.
    ///
    /// # Safety
    /// The processor must have AVX-512, and `S` registers of 64 bytes.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) unsafe fn sum_sixteen<S: Simd>(registers: [S::f32s; 16]) -> [f32; 16] {
        // SAFETY: both are sixteen times sixteen numbers.
        let x = unsafe { std::mem::transmute_copy::<[S::f32s; 16], [__m512; 16]>(&registers) };
        let mut pairs = [x[0]; 8];
        for i in 0..8 {
            // Halves of four registers below those of the next four.
            let (below, above) = (x[i / 4 * 8 + i % 4], x[i / 4 * 8 + i % 4 + 4]);
            let low = _mm512_shuffle_f32x4::<0x44>(below, above);
            pairs[i] = _mm512_add_ps(low, _mm512_shuffle_f32x4::<0xEE>(below, above));
        }
        let mut fours = [x[0]; 2];
        for i in 0..2 {
            let [a, b, c, d] = [pairs[4 * i], pairs[4 * i + 1], pairs[4 * i + 2], pairs[4 * i + 3]];
            let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
            fours[i] = _mm512_add_ps(_mm512_shuffle_ps::<0x44>(ab, cd), _mm512_shuffle_ps::<0xEE>(ab, cd));
        }
        let low = _mm512_shuffle_f32x4::<0x88>(fours[0], fours[1]);
        let sums = _mm512_add_ps(low, _mm512_shuffle_f32x4::<0xDD>(fours[0], fours[1]));
        // SAFETY: both are sixteen numbers.
        unsafe { std::mem::transmute::<__m512, [f32; 16]>(sums) }
    }
}
