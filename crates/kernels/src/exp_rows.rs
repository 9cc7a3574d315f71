//! The exponentials of rows and their sums in one pass, added up in sixteen lanes: with the same bits whatever the width of a vector register.

use crate::lanes::{self, LANES};
use crate::real::Real;
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp, SimdUnaryOp};
use rten_vecmath::Exp;

/// `x = e^(x - max)` for every row of `x[N, columns]`, with the maxima `max[N]` of the rows; `sums[N]` becomes the sums. Where the maximum is
/// -∞, nothing is subtracted.
pub(crate) fn exp_rows<E: Real>(x: &mut [E], columns: usize, max: &[E], sums: &mut [E]) {
    let columns = columns.max(1);
    if let (Some(max), Some(sums)) = (E::as_f32(max), E::as_f32_mut(sums))
        && let Some(x) = E::as_f32_mut(x)
    {
        return ExpRows { x, columns, max, sums }.dispatch();
    }
    for ((row, &max), sum) in x.chunks_mut(columns).zip(max).zip(sums) {
        row.iter_mut().for_each(|x| *x = (*x - shift(max)).exp());
        *sum = lanes::sum(row, row, |x, _| x);
    }
}

/// `Σ e^(x - max)`, as each row of a softmax has it: NaN where there is one.
pub fn sum_exp<E: Real>(x: &[E], max: E) -> E {
    match E::as_f32(x) {
        Some(x) => E::of(f64::from(SumExp { x, max: max.f64() as f32 }.dispatch())),
        None => lanes::sum(x, x, |x, _| (x - shift(max)).exp()),
    }
}

/// What is subtracted.
#[inline(always)]
fn shift<E: Real>(max: E) -> E {
    if max == E::neg_infinity() { E::zero() } else { max }
}

struct ExpRows<'a> {
    x: &'a mut [f32],
    columns: usize,
    max: &'a [f32],
    sums: &'a mut [f32],
}

impl SimdOp for ExpRows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        for ((row, &max), sum) in self.x.chunks_mut(self.columns).zip(self.max).zip(self.sums) {
            let mut lanes = Lanes::new(isa, max);
            let (chunks, rest) = row.as_chunks_mut::<LANES>();
            for chunk in chunks {
                *chunk = lanes.add(chunk);
            }
            if !rest.is_empty() {
                let last = lanes.add(&padded(rest));
                rest.copy_from_slice(&last[..rest.len()]);
            }
            *sum = lanes.sum();
        }
    }
}

struct SumExp<'a> {
    x: &'a [f32],
    max: f32,
}

impl SimdOp for SumExp<'_> {
    type Output = f32;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> f32 {
        let mut lanes = Lanes::new(isa, self.max);
        let (chunks, rest) = self.x.as_chunks::<LANES>();
        for chunk in chunks {
            lanes.add(chunk);
        }
        if !rest.is_empty() {
            lanes.add(&padded(rest));
        }
        lanes.sum()
    }
}

/// Numbers whose exponentials are zero fill up a chunk.
#[inline(always)]
fn padded(rest: &[f32]) -> [f32; LANES] {
    let mut chunk = [f32::NEG_INFINITY; LANES];
    chunk[..rest.len()].copy_from_slice(rest);
    chunk
}

/// The sums of exponentials in sixteen lanes, in as many registers as these need.
struct Lanes<I: Isa> {
    isa: I,
    max: I::F32,
    sums: [I::F32; LANES],
}

impl<I: Isa> Lanes<I> {
    #[inline(always)]
    fn new(isa: I, max: f32) -> Self {
        let ops = isa.f32();
        Self { isa, max: ops.splat(shift(max)), sums: [ops.zero(); LANES] }
    }

    /// The exponentials of a chunk, which the lanes have then.
    #[inline(always)]
    fn add(&mut self, chunk: &[f32; LANES]) -> [f32; LANES] {
        let (ops, mut exponentials) = (self.isa.f32(), [0.0; LANES]);
        let registers = chunk.chunks_exact(ops.len()).zip(exponentials.chunks_exact_mut(ops.len()));
        for (sum, (x, exponential)) in self.sums.iter_mut().zip(registers) {
            let e = Exp {}.eval(self.isa, ops.sub(ops.load(x), self.max));
            ops.store(e, exponential);
            *sum = ops.add(*sum, e);
        }
        exponentials
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let (ops, mut lanes) = (self.isa.f32(), [0.0; LANES]);
        let registers = lanes.chunks_exact_mut(ops.len()).zip(self.sums);
        for (lanes, sum) in registers {
            ops.store(sum, lanes);
        }
        lanes::reduce(lanes, |a, b| a + b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_exponentials_of_each_element_and_the_bits_of_sums_in_sixteen_lanes() {
        for columns in [1, 15, 16, 17, 100, 512] {
            let x: Vec<f32> = (0..2 * columns).map(|i| ((i * 7919) % 997) as f32 / 97.0 - 9.0).collect();
            let (mut e, mut alone, mut sums) = (x.clone(), x.clone(), [0.0; 2]);
            exp_rows(&mut e, columns, &[2.0_f32, f32::NEG_INFINITY], &mut sums);
            alone[..columns].iter_mut().for_each(|x| *x -= 2.0);
            f32::exp_all(&mut alone);
            assert_eq!(e, alone, "{columns}");
            assert!(e.chunks(columns).map(|row| lanes::sum(row, row, |x, _| x)).eq(sums), "{columns}");
            assert_eq!(sum_exp(&x[..columns], 2.0), sums[0], "{columns}");
        }
    }

    #[test]
    fn nan_is_in_the_sum_and_what_is_impossible_is_not() {
        for place in [0, 15, 16, 99] {
            let mut x = [0.5_f32; 100];
            x[place] = f32::NEG_INFINITY;
            assert!((sum_exp(&x, 0.5) - 99.0).abs() < 1e-4, "{place}");
            x[place] = f32::NAN;
            assert!(sum_exp(&x, 0.5).is_nan(), "{place}");
        }
    }
}
