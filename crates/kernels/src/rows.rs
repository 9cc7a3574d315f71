use crate::{Real, axpy, map, vectorized};

/// `row = softmax(row)` for every row of `x[N, D]`.
pub fn softmax_rows<E: Real>(x: &mut [E], columns: usize) {
    for row in x.chunks_exact_mut(columns.max(1)) {
        softmax_row(row);
    }
}

/// `row = softmax(row)`, with the largest element subtracted first; returns `log Σ e^row` of the row before.
fn softmax_row<E: Real>(row: &mut [E]) -> E {
    let (largest, total) = exponentials(row);
    let inverse = E::one() / total;
    map(row, |x| x * inverse);
    largest + total.ln()
}

/// `row = row - log Σ e^row` for every row of `x[N, D]`.
pub fn log_softmax_rows<E: Real>(x: &mut [E], columns: usize, scratch: &mut [E]) {
    for row in x.chunks_exact_mut(columns.max(1)) {
        scratch[..columns].copy_from_slice(row);
        let (largest, total) = exponentials(&mut scratch[..columns]);
        let shift = largest + total.ln();
        map(row, |x| x - shift);
    }
}

/// `row = e^(row - largest)`; the largest element and the sum of the row.
fn exponentials<E: Real>(row: &mut [E]) -> (E, E) {
    let largest = largest(row);
    map(row, |x| x - largest);
    E::exp_all(row);
    (largest, sum_of(row, row, |x, _| x))
}

/// `x = e^(x - largest)` for every column of `x[N, D]`; leaves the largest elements in `largest[D]`, and the sums of
/// the exponentials in `total[D]`.
pub fn exponentials_of_columns<E: Real>(x: &mut [E], largest: &mut [E], total: &mut [E]) {
    let columns = largest.len().max(1);
    largest.fill(E::neg_infinity());
    total.fill(E::zero());
    for row in x.chunks_exact(columns) {
        vectorized(
            #[inline(always)]
            || largest.iter_mut().zip(row).for_each(|(l, &x)| *l = if x > *l || x.is_nan() { x } else { *l }),
        );
    }
    for row in x.chunks_exact_mut(columns) {
        vectorized(
            #[inline(always)]
            || row.iter_mut().zip(&*largest).for_each(|(x, &l)| *x -= l),
        );
        E::exp_all(row);
        axpy(E::one(), row, total);
    }
}

/// The largest element; where one is not a number, not a number.
pub fn largest<E: Real>(row: &[E]) -> E {
    let mut lanes = [E::neg_infinity(); 16];
    vectorized(
        #[inline(always)]
        || {
            let chunks = row.chunks_exact(16);
            let rest = chunks.remainder();
            for chunk in chunks {
                lanes.iter_mut().zip(chunk).for_each(|(l, &x)| *l = if x > *l || x.is_nan() { x } else { *l });
            }
            lanes.iter_mut().zip(rest).for_each(|(l, &x)| *l = if x > *l || x.is_nan() { x } else { *l });
        },
    );
    lanes.iter().fold(E::neg_infinity(), |a, &b| if b > a || b.is_nan() { b } else { a })
}

/// `Σ f(aᵢ, bᵢ)`, in sixteen lanes: fast, and the same whatever the vector width.
#[inline(always)]
pub fn sum_of<E: Real>(a: &[E], b: &[E], f: impl Fn(E, E) -> E) -> E {
    assert_eq!(a.len(), b.len());
    let mut lanes = [E::zero(); 16];
    vectorized(
        #[inline(always)]
        || {
            let (a, b) = (a.chunks_exact(16), b.chunks_exact(16));
            let rest = a.remainder().iter().zip(b.remainder());
            for (a, b) in a.zip(b) {
                lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(l, (&a, &b))| *l += f(a, b));
            }
            lanes.iter_mut().zip(rest).for_each(|(l, (&a, &b))| *l += f(a, b));
        },
    );
    lanes.iter().copied().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_of_large_numbers_stays_finite_and_sums_to_one() {
        for columns in [1, 3, 16, 37] {
            let x: Vec<f64> = (0..2 * columns).map(|i| 1000.0 + (i % 7) as f64).collect();
            let (mut p, mut log_p, mut scratch) = (x.clone(), x.clone(), vec![0.0; columns]);
            softmax_rows(&mut p, columns);
            log_softmax_rows(&mut log_p, columns, &mut scratch);
            for row in p.chunks(columns) {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            }
            for (p, log_p) in p.iter().zip(&log_p) {
                assert!((p.ln() - log_p).abs() < 1e-9);
            }
        }
    }
}
