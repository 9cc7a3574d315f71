//! The panels of a [`PackedB`](crate::PackedB) in bfloat16, and their GEMM: by the processor's `vdpbf16ps` (AVX-512 BF16), a dot
//! product of pairs that accumulates in f32. The `gemmkit` crate packs no `B` for a row-major result, and rounds its result.

use crate::bf16::round;
use crate::elementwise::vectorized;
use crate::mat::Mat;
use crate::transpose::transpose;
use half::bf16;
use std::cell::RefCell;

/// Columns of a panel: two vector registers.
const WIDTH: usize = 32;

thread_local! {
    /// The columns of a panel before their transpose.
    static COLUMNS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Whether a `B` with this many rows (the inner length `k`) can be packed, on this processor.
pub(crate) fn is_supported(k: usize) -> bool {
    k > 0 && k.is_multiple_of(2) && vdpbf16ps::is_available()
}

/// How many pairs the panels hold.
pub(crate) fn len(rows: usize, columns: usize) -> usize {
    rows / 2 * columns.next_multiple_of(WIDTH)
}

/// Packs `b[K, N]` into panels of [`WIDTH`] columns, the last one padded with zeros. In a panel, each two rows become one row of
/// pairs, one pair for each column.
pub(crate) fn pack(matrix: Mat<'_, f32>, panels: &mut [u32]) {
    let Mat { data, rows, columns, row_stride, column_stride } = matrix;
    for (start, panel) in (0..columns).step_by(WIDTH).zip(panels.chunks_exact_mut(rows / 2 * WIDTH)) {
        let width = WIDTH.min(columns - start);
        if row_stride == 1 {
            COLUMNS.with_borrow_mut(|columns| {
                columns.clear();
                columns.resize(WIDTH * rows / 2, 0);
                for (c, pairs) in columns.chunks_exact_mut(rows / 2).enumerate().take(width) {
                    round(&data[(start + c) * column_stride..][..rows], bytemuck::cast_slice_mut(pairs));
                }
                // Bit patterns: they are moved, never computed with.
                transpose::<f32>(bytemuck::cast_slice(columns), WIDTH, rows / 2, bytemuck::cast_slice_mut(panel));
            });
            continue;
        }
        for (pair, to) in panel.chunks_exact_mut(WIDTH).enumerate() {
            let row = |r: usize| (0..width).map(move |c| data[r * row_stride + (start + c) * column_stride]);
            let mut both = [[bf16::ZERO; WIDTH]; 2];
            for (i, rounded) in both.iter_mut().enumerate() {
                let mut values = [0.0; WIDTH];
                match column_stride {
                    1 => values[..width].copy_from_slice(&data[(2 * pair + i) * row_stride + start..][..width]),
                    _ => values.iter_mut().zip(row(2 * pair + i)).for_each(|(value, x)| *value = x),
                }
                round(&values, rounded);
            }
            let bits = |x: bf16| u32::from(x.to_bits());
            vectorized(
                #[inline(always)]
                || (0..WIDTH).for_each(|c| to[c] = bits(both[0][c]) | bits(both[1][c]) << 16),
            );
        }
    }
}

/// `c[M, N] = beta c + a[M, K] b`, with the panels of `b`, and scratch of half as many elements as `a` has.
pub(crate) fn gemm_packed(
    a: Mat<'_, f32>,
    panels: &[u32],
    columns: usize,
    beta: f32,
    c: &mut [f32],
    scratch: &mut [u32],
) {
    assert!(a.column_stride == 1 && a.columns.is_multiple_of(2));
    assert!(a.rows.checked_mul(columns).is_some_and(|len| c.len() >= len));
    let pairs = a.columns / 2;
    let scratch = &mut scratch[..a.rows * pairs];
    for (row, to) in scratch.chunks_exact_mut(pairs).enumerate() {
        round(&a.data[row * a.row_stride..][..a.columns], bytemuck::cast_slice_mut(to));
    }
    for (start, panel) in (0..columns).step_by(WIDTH).zip(panels.chunks_exact(pairs * WIDTH)) {
        let (mut row, width) = (0, WIDTH.min(columns - start));
        while row < a.rows {
            let left = &scratch[row * pairs..];
            let c = &mut c[row * columns + start..];
            row += match a.rows - row {
                12.. => vdpbf16ps::block::<12>(left, panel, beta, c, (columns, width)),
                8.. => vdpbf16ps::block::<8>(left, panel, beta, c, (columns, width)),
                4.. => vdpbf16ps::block::<4>(left, panel, beta, c, (columns, width)),
                _ => vdpbf16ps::block::<1>(left, panel, beta, c, (columns, width)),
            };
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod vdpbf16ps {
    use super::WIDTH;
    use std::arch::x86_64::{
        __m512bh, __m512i, __mmask16, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_mask_storeu_ps,
        _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
    };

    pub(super) fn is_available() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
    }

    /// Computes the first `width` columns of `ROWS` rows of `c`, whose row stride is `columns`; returns `ROWS`.
    pub(super) fn block<const ROWS: usize>(
        left: &[u32],
        panel: &[u32],
        beta: f32,
        c: &mut [f32],
        (columns, width): (usize, usize),
    ) -> usize {
        let pairs = panel.len() / WIDTH;
        assert!(left.len() >= ROWS * pairs && c.len() >= (ROWS - 1) * columns + width && is_available());
        // SAFETY: the processor has the instructions, and the slices are long enough for `ROWS` rows: both checked above.
        unsafe { run::<ROWS>(left, panel, pairs, beta, c, (columns, width)) };
        ROWS
    }

    /// # Safety
    /// The processor has AVX-512 F and BF16; `left` holds `ROWS · pairs`, `panel` `pairs · WIDTH`, and `c`
    /// `(ROWS - 1) · columns + width` numbers.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn run<const ROWS: usize>(
        left: &[u32],
        panel: &[u32],
        pairs: usize,
        beta: f32,
        c: &mut [f32],
        (columns, width): (usize, usize),
    ) {
        let pairs_of = |bits: __m512i| -> __m512bh {
            // SAFETY: both are 512 bits, of which any are valid.
            unsafe { std::mem::transmute(bits) }
        };
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        for p in 0..pairs {
            // SAFETY: `p < pairs`, so that both registers lie within the panel.
            let right = [0, 16].map(|half| unsafe { _mm512_loadu_si512(panel.as_ptr().add(p * WIDTH + half).cast()) });
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: `row < ROWS` and `p < pairs`.
                let x = pairs_of(_mm512_set1_epi32(unsafe { *left.get_unchecked(row * pairs + p) } as i32));
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = _mm512_dpbf16_ps(*sum, x, pairs_of(right));
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (half, &sum) in sums.iter().enumerate() {
                let filled = width.saturating_sub(16 * half).min(16);
                let mask = ((1_u32 << filled) - 1) as __mmask16;
                // May lie behind the end, but then nothing is read or written there.
                let place = c.as_mut_ptr().wrapping_add(row * columns + half * 16);
                // SAFETY: `row < ROWS`, and only the columns below `width` are touched: all within `c`.
                unsafe {
                    let total = match beta {
                        0.0 => sum,
                        _ => {
                            let before = _mm512_maskz_loadu_ps(mask, place);
                            _mm512_add_ps(_mm512_mul_ps(_mm512_set1_ps(beta), before), sum)
                        }
                    };
                    _mm512_mask_storeu_ps(place, mask, total);
                }
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod vdpbf16ps {
    pub(super) fn is_available() -> bool {
        false
    }

    pub(super) fn block<const ROWS: usize>(_: &[u32], _: &[u32], _: f32, _: &mut [f32], _: (usize, usize)) -> usize {
        unreachable!("AVX-512 BF16 is not available")
    }
}
