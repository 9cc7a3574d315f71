//! Softmax and its parts, over rows or columns.

use crate::elementwise::{axpy, map, vectorized};
use crate::exp_rows::{exp_rows, sum_exp};
use crate::real::Real;
use crate::row_maxima::row_maxima;

/// `row = softmax(row)` for every row of `x[N, D]`.
pub fn softmax_rows<E: Real>(x: &mut [E], columns: usize) {
    for row in x.chunks_exact_mut(columns.max(1)) {
        softmax_row(row);
    }
}

/// `row = softmax(row)`, with the maximum subtracted first.
fn softmax_row<E: Real>(row: &mut [E]) {
    let (_, sum) = exp_minus_max(row);
    let inverse = E::one() / sum;
    map(row, |x| x * inverse);
}

/// `row = row - log Σ e^row` for every row of `x[N, D]`.
pub fn log_softmax_rows<E: Real>(x: &mut [E], columns: usize) {
    for row in x.chunks_exact_mut(columns.max(1)) {
        let shift = log_sum_exp(row);
        map(row, |x| x - shift);
    }
}

/// `log Σ e^x`: NaN if there is one, -∞ if all are.
pub fn log_sum_exp<E: Real>(x: &[E]) -> E {
    let mut max = [E::neg_infinity()];
    row_maxima(x, x.len(), &mut max);
    max[0] + sum_exp(x, max[0]).ln()
}

/// `row = e^(row - max)`; returns the maximum, and the sum of the exponentials.
fn exp_minus_max<E: Real>(row: &mut [E]) -> (E, E) {
    let (mut max, mut sum) = ([E::neg_infinity()], [E::zero()]);
    exp_minus_max_rows(row, &mut max, &mut sum);
    (max[0], sum[0])
}

/// `x = e^(x - max)` for every row of `x[N, D]`. `max[N]` becomes the maximum of the row and of its value before, as an online
/// softmax needs; `sum[N]` becomes the sums of the exponentials, NaN where there is one. A row of -∞ becomes zeros.
pub fn exp_minus_max_rows<E: Real>(x: &mut [E], max: &mut [E], sum: &mut [E]) {
    let columns = (x.len() / max.len().max(1)).max(1);
    row_maxima(x, columns, max);
    exp_rows(x, columns, max, sum);
}

/// `x = e^(x - max)` for every column of `x[N, D]`. Writes the maxima to `max[D]`, and the sums of the exponentials to `sum[D]`.
pub fn exp_minus_max_columns<E: Real>(x: &mut [E], max: &mut [E], sum: &mut [E]) {
    let columns = max.len().max(1);
    max.fill(E::neg_infinity());
    sum.fill(E::zero());
    for row in x.chunks_exact(columns) {
        vectorized(
            #[inline(always)]
            || max.iter_mut().zip(row).for_each(|(max, &x)| *max = if x > *max || x.is_nan() { x } else { *max }),
        );
    }
    for row in x.chunks_exact_mut(columns) {
        vectorized(
            #[inline(always)]
            || row.iter_mut().zip(&*max).for_each(|(x, &max)| *x -= max),
        );
        E::exp_all(row);
        axpy(E::one(), row, sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_of_large_numbers_stays_finite_and_sums_to_one() {
        for columns in [1, 3, 16, 37, 512, 1300] {
            let x: Vec<f64> = (0..2 * columns).map(|i| 1000.0 + (i % 7) as f64).collect();
            let (mut p, mut log_p) = (x.clone(), x.clone());
            softmax_rows(&mut p, columns);
            log_softmax_rows(&mut log_p, columns);
            let (row, none) = (&x[..columns], vec![f64::NEG_INFINITY; columns]);
            assert_eq!(log_sum_exp(&none), f64::NEG_INFINITY);
            assert!(log_sum_exp(&[row, &[f64::NAN]].concat()).is_nan());
            for row in p.chunks(columns) {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            }
            for (p, log_p) in p.iter().zip(&log_p) {
                assert!((p.ln() - log_p).abs() < 1e-9);
            }
        }
    }
}
