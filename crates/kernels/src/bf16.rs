//! Rounding f32 to bfloat16.

use crate::elementwise::vectorized;
use half::bf16;

/// Rounds to the nearest bfloat16, ties to even. NaN stays NaN.
pub(crate) fn round(x: &[f32], y: &mut [bf16]) {
    vectorized(
        #[inline(always)]
        || {
            for (y, x) in y.iter_mut().zip(x) {
                let bits = x.to_bits();
                let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
                let nan = (bits >> 16) | 0x40;
                *y = bf16::from_bits(if x.is_nan() { nan } else { rounded } as u16);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_even() {
        let x = [
            1.0,
            -1.0 - 0.5_f32.powi(8),
            1.0 + 0.5_f32.powi(8),
            1.0 + 3.0 * 0.5_f32.powi(8),
            3.0e38,
            f32::INFINITY,
            f32::NAN,
            1e-40,
            0.1,
        ];
        let mut y = [bf16::ZERO; 9];
        round(&x, &mut y);
        for (x, y) in x.into_iter().zip(y) {
            assert!(y.to_bits() == bf16::from_f32(x).to_bits() || x.is_nan() && y.is_nan(), "{x} {y}");
        }
    }
}
