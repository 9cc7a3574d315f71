//! Rounding to 4 bits in blocks of 32, each with a scale in half precision: the form of GGUF's Q4_0. An element is stored 8 larger than it
//! is, from 0 to 15; the element of the largest magnitude becomes −8, so its sign is that of −scale.

use half::f16;

/// Elements of a block.
pub(crate) const BLOCK: usize = 32;
/// Bytes of a block's elements.
pub(crate) const BLOCK_BYTES: usize = BLOCK / 2;
/// Two elements of value zero.
pub(crate) const ZEROS: u8 = 0x88;

/// Rounds a row, block by block; what pads the last block is zero.
///
/// # Errors
/// Where an element is no number, or too large.
pub(crate) fn quantize(row: &[f32], to: &mut [u8], scales: &mut [u16]) -> Result<(), String> {
    for ((values, to), scale) in row.chunks(BLOCK).zip(to.chunks_exact_mut(BLOCK_BYTES)).zip(scales) {
        let mut block = [0.0; BLOCK];
        block[..values.len()].copy_from_slice(values);
        // Of two equal magnitudes the first one counts.
        let largest = block.iter().fold(0.0_f32, |largest, &x| if x.abs() > largest.abs() { x } else { largest });
        if let Some(wrong) = values.iter().find(|x| !x.is_finite()) {
            return Err(format!("it has an element of {wrong}"));
        }
        let exact = largest / -8.0;
        let rounded = f16::from_f32(exact);
        if !rounded.is_finite() {
            return Err(format!("it has an element of {largest}, which is too large for a scale in half precision"));
        }
        *scale = rounded.to_bits();
        let reciprocal = if exact == 0.0 { 0.0 } else { 1.0 / exact };
        let element = |x: f32| (x * reciprocal + 8.5).clamp(0.0, 15.0) as u8;
        for (i, to) in to.iter_mut().enumerate() {
            *to = element(block[i]) | element(block[BLOCK_BYTES + i]) << 4;
        }
    }
    Ok(())
}

/// The elements of a block, from −8 to 7.
pub(crate) fn elements(block: &[u8; BLOCK_BYTES]) -> [i8; BLOCK] {
    let mut elements = [0; BLOCK];
    for (i, byte) in block.iter().enumerate() {
        elements[i] = (byte & 15) as i8 - 8;
        elements[BLOCK_BYTES + i] = (byte >> 4) as i8 - 8;
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_element_is_the_nearest_multiple_of_its_scale() {
        let row: Vec<f32> = (0..77).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect();
        let (mut bytes, mut scales) = ([0; 3 * BLOCK_BYTES], [0; 3]);
        quantize(&row, &mut bytes, &mut scales).unwrap();
        for (b, values) in row.chunks(BLOCK).enumerate() {
            let scale = f16::from_bits(scales[b]).to_f32();
            let block = elements(bytes[b * BLOCK_BYTES..][..BLOCK_BYTES].try_into().unwrap());
            for (value, x) in values.iter().zip(block) {
                // The largest multiple is 7: what would be 8 is one off.
                let most = if x == 7 { 1.001 } else { 0.51 };
                assert!((value - scale * f32::from(x)).abs() <= most * scale.abs(), "{value}: {x} times {scale}");
            }
            assert!(block.contains(&-8) && block[values.len()..].iter().all(|&x| x == 0));
        }
        assert_eq!(elements(&[ZEROS; BLOCK_BYTES]), [0; BLOCK]);
    }

    #[test]
    fn what_has_no_scale_is_an_error() {
        let (mut bytes, mut scales) = ([0; BLOCK_BYTES], [0; 1]);
        for (wrong, what) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (1e6, "too large")] {
            assert!(quantize(&[0.5, wrong, 0.1], &mut bytes, &mut scales).unwrap_err().contains(what));
        }
        quantize(&[0.0; 5], &mut bytes, &mut scales).unwrap();
        assert!(elements(&bytes) == [0; BLOCK] && f16::from_bits(scales[0]) == f16::ZERO);
    }
}
