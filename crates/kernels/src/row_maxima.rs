//! The maximum of each row of a matrix, by vector instructions: of a loop that compares, the compiler makes scalar code.

use crate::real::Real;
use pulp::{Arch, Simd, WithSimd};

/// `max[i]` becomes the larger one of itself and the maximum of row `i` of `x[N, columns]`, of which the last may be shorter. NaN is passed
/// over: a sum of exponentials has it.
pub fn row_maxima<E: Real>(x: &[E], columns: usize, max: &mut [E]) {
    let columns = columns.max(1);
    if let (Some(x), Some(max)) = (E::as_f32(x), E::as_f32_mut(max)) {
        return Arch::new().dispatch(Maxima { x, columns, max });
    }
    for (row, max) in x.chunks(columns).zip(max) {
        *max = row.iter().fold(*max, |max, &x| larger(max, x));
    }
}

#[inline(always)]
fn larger<E: Real>(max: E, x: E) -> E {
    if x > max { x } else { max }
}

struct Maxima<'a> {
    x: &'a [f32],
    columns: usize,
    max: &'a mut [f32],
}

impl WithSimd for Maxima<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (row, max) in self.x.chunks(self.columns).zip(self.max) {
            let (registers, rest) = S::as_simd_f32s(row);
            let mut largest = [simd.splat_f32s(*max); 4];
            // Each has to wait for its last maximum. Of NaN and a number, the instruction takes its second operand.
            let (fours, others) = pulp::as_arrays::<4, _>(registers);
            for four in fours {
                for (largest, &x) in largest.iter_mut().zip(four) {
                    *largest = simd.max_f32s(x, *largest);
                }
            }
            for (largest, &x) in largest.iter_mut().zip(others) {
                *largest = simd.max_f32s(x, *largest);
            }
            let [a, b, c, d] = largest;
            let all = simd.max_f32s(simd.max_f32s(a, b), simd.max_f32s(c, d));
            *max = rest.iter().fold(simd.reduce_max_f32s(all), |max, &x| larger(max, x));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + 3) % 997) as f32 / 997.0 - 0.7).collect()
    }

    #[test]
    fn maxima_are_those_of_a_plain_loop() {
        for columns in [1, 3, 16, 17, 64, 130, 1000] {
            let x = numbers(3 * columns - columns / 2);
            let mut max = [f32::NEG_INFINITY, 0.2, f32::NEG_INFINITY, 7.0];
            let expected = |i: usize, row: &[f32]| row.iter().fold(max[i], |max, &x| max.max(x));
            let expected: Vec<f32> = x.chunks(columns).enumerate().map(|(i, row)| expected(i, row)).collect();
            row_maxima(&x, columns, &mut max);
            assert_eq!(max[..3], expected, "{columns}");
            assert!(max[3] == 7.0);
        }
    }

    #[test]
    fn nan_is_passed_over() {
        for place in [0, 15, 16, 70, 99] {
            let mut x = numbers(100);
            x[place] = f32::NAN;
            let expected = x.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x));
            let mut max = [f32::NEG_INFINITY];
            row_maxima(&x, 100, &mut max);
            assert_eq!(max, [expected], "{place}");
        }
    }
}
