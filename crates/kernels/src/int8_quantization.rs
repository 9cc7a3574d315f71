//! Rounding to int8, symmetric: the largest element of a row becomes ±127.

use crate::elementwise::vectorized;
use half::f16;

/// The inner length from which a sum of int8 elements could overflow 32 bits, activations shifted to be positive.
pub(crate) const CLEAR_OF_OVERFLOW: usize = (i32::MAX / (127 * 255)) as usize;

/// Activations of rows up to this length are rounded to 16 bits: small models lose by 8.
pub(crate) const SHORT: usize = 384;

// Their sums, too, fit 32 bits.
const _: () = assert!((127 << 8) * 127 * SHORT < i32::MAX as usize);

/// Below this, a row of activations counts as zeros: the reciprocal of its scale could be infinite.
const SMALLEST: f32 = 1e-33;

/// The scale of a row of weights.
///
/// # Errors
/// Where an element is no number, or too large.
pub(crate) fn row_scale(row: &[f32]) -> Result<f16, String> {
    let largest = largest(row);
    let exact = largest / 127.0;
    let scale = f16::from_f32(exact);
    if !scale.is_finite() {
        return Err(match largest.is_finite() {
            true => {
                format!("it has an element of {largest}, which is too large for int8 with a scale in half precision")
            }
            false => "it has an element that is no finite number".to_owned(),
        });
    }
    // Rounded down, it could not reach the largest element where half precision is coarse.
    let is_coarse = !scale.is_normal() && scale.to_f32() < exact;
    Ok(if is_coarse { f16::from_bits(scale.to_bits() + 1) } else { scale })
}

/// Rounds a row to multiples of `scale`, ties to even; `to` may be longer.
pub(crate) fn quantize_row(row: &[f32], scale: f32, to: &mut [i8]) {
    let reciprocal = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    vectorized(
        #[inline(always)]
        || to.iter_mut().zip(row).for_each(|(to, &x)| *to = rounded(x * reciprocal)),
    );
}

/// Rounds a row of activations, and returns its scale: not a number where the row has something that is none.
pub(crate) fn quantize_activations(row: &[f32], to: &mut [i8]) -> f32 {
    let largest = largest(row);
    if !largest.is_finite() {
        to[..row.len()].fill(0);
        return f32::NAN;
    }
    let reciprocal = if largest < SMALLEST { 0.0 } else { 127.0 / largest };
    vectorized(
        #[inline(always)]
        || to.iter_mut().zip(row).for_each(|(to, &x)| *to = rounded(x * reciprocal)),
    );
    if largest < SMALLEST { 0.0 } else { largest / 127.0 }
}

/// Rounds a row of activations to 16 bits, as `256 high + low`, and returns its scale: not a number where the row has something that
/// is none.
pub(crate) fn quantize_activations_16(row: &[f32], high: &mut [i8], low: &mut [i8]) -> f32 {
    const MOST: f32 = (127 << 8) as f32;
    let largest = largest(row);
    if !largest.is_finite() {
        high[..row.len()].fill(0);
        low[..row.len()].fill(0);
        return f32::NAN;
    }
    let reciprocal = if largest < SMALLEST { 0.0 } else { MOST / largest };
    vectorized(
        #[inline(always)]
        || {
            for ((high, low), &x) in high.iter_mut().zip(low).zip(row) {
                let integer = nearest(x * reciprocal);
                // The nearest multiple of 256, so that what is left has a sign and 8 bits.
                *high = ((integer + 128) >> 8) as i8;
                *low = integer as i8;
            }
        },
    );
    if largest < SMALLEST { 0.0 } else { largest / MOST }
}

/// The nearest integer, ties to even, of what is at most a little above 127.
#[inline(always)]
fn rounded(x: f32) -> i8 {
    nearest(x).clamp(-127, 127) as i8
}

/// The nearest integer, ties to even, of what is below 2²².
#[inline(always)]
fn nearest(x: f32) -> i32 {
    // Adding 1.5 · 2²³ leaves the integer in the lowest bits: this compiles to vector instructions, and a cast does not.
    const SHIFT: f32 = 12_582_912.0;
    (x + SHIFT).to_bits().wrapping_sub(SHIFT.to_bits()) as i32
}

/// The largest magnitude; infinite or not a number where an element is.
fn largest(row: &[f32]) -> f32 {
    // The bits of magnitudes are in the order of the numbers, and those of what is no number are the largest.
    let bits = vectorized(
        #[inline(always)]
        || row.iter().fold(0, |largest, x| (x.to_bits() & 0x7fff_ffff).max(largest)),
    );
    f32::from_bits(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_even_and_symmetric() {
        let row = [127.0, -127.0, 0.5, 1.5, -0.5, 2.4999, 63.5, 0.0];
        let mut to = [9; 10];
        assert_eq!(quantize_activations(&row, &mut to), 1.0);
        assert_eq!(to, [127, -127, 0, 2, 0, 2, 64, 0, 9, 9]);
    }

    #[test]
    fn two_planes_are_16_bits() {
        let row: Vec<f32> =
            (-32_512..=32_512_i16).step_by(37).chain([32_512, -1, 127, 128, -128, -129]).map(f32::from).collect();
        let (mut high, mut low) = (vec![9; row.len() + 1], vec![9; row.len() + 1]);
        assert_eq!(quantize_activations_16(&row, &mut high, &mut low), 1.0);
        let both = high.iter().zip(&low).map(|(&high, &low)| 256.0 * f32::from(high) + f32::from(low));
        assert!(both.take(row.len()).eq(row.iter().copied()));
        assert_eq!((high[row.len()], low[row.len()]), (9, 9));
    }

    #[test]
    fn what_is_no_number_is_reported_and_what_is_tiny_is_zero() {
        let mut to = [9; 3];
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(quantize_activations(&[1.0, wrong, 0.0], &mut to).is_nan());
            assert!(quantize_activations_16(&[1.0, wrong, 0.0], &mut to, &mut [9; 3]).is_nan());
            assert!(row_scale(&[1.0, wrong]).is_err());
        }
        for tiny in [1e-40, 5e-35] {
            let (row, mut low) = ([tiny, 0.0, -tiny], [9; 3]);
            assert!(quantize_activations(&row, &mut to) == 0.0 && to == [0; 3]);
            assert!(quantize_activations_16(&row, &mut to, &mut low) == 0.0 && to == [0; 3] && low == [0; 3]);
        }
        assert!(row_scale(&[1e7]).unwrap_err().contains("too large"));
        assert_eq!(row_scale(&[0.0, 0.0]).unwrap(), f16::ZERO);
    }

    #[test]
    fn a_scale_reaches_the_largest_element_also_where_half_precision_is_coarse() {
        for largest in [1e-6_f32, 3e-5, 1e-3, 0.02, 1.0, 77.7, 1e5] {
            let scale = row_scale(&[largest, -largest]).unwrap().to_f32();
            let mut to = [0; 2];
            quantize_row(&[largest, -largest], scale, &mut to);
            let error = (f32::from(to[0]) * scale - largest).abs();
            assert!(to[0] == -to[1] && error <= 0.5005 * scale, "{largest}: {to:?} times {scale}");
        }
    }
}
