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
    let (mut largest, mut total) = ([E::neg_infinity()], [E::zero()]);
    exp_minus_max_rows(row, &mut largest, &mut total);
    (largest[0], total[0])
}

/// `x = e^(x - largest)` for every row of `x[N, D]`; `largest[N]` is the largest element of the row and of what it held
/// before. Leaves the sums of the rows in `total[N]`. A row of -∞ becomes zeros.
pub fn exp_minus_max_rows<E: Real>(x: &mut [E], largest: &mut [E], total: &mut [E]) {
    let columns = (x.len() / largest.len().max(1)).max(1);
    vectorized(
        #[inline(always)]
        || {
            for (row, largest) in x.chunks_exact_mut(columns).zip(largest.iter_mut()) {
                let own = lanes::max(row);
                if own > *largest || own.is_nan() {
                    *largest = own;
                }
                let shift = if *largest == E::neg_infinity() { E::zero() } else { *largest };
                row.iter_mut().for_each(|x| *x -= shift);
            }
        },
    );
    E::exp_all(x);
    vectorized(
        #[inline(always)]
        || {
            for (row, total) in x.chunks_exact(columns).zip(total) {
                *total = lanes::sum(row, row, |x, _| x);
            }
        },
    );
}

/// `x = e^(x - largest)` for every column of `x[N, D]`; leaves the largest elements in `largest[D]`, and the sums of
/// the exponentials in `total[D]`.
pub fn exp_minus_max_columns<E: Real>(x: &mut [E], largest: &mut [E], total: &mut [E]) {
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

/// `Σ f(aᵢ, bᵢ)`, as [`lanes::sum`].
#[inline(always)]
pub fn zip_sum<E: Real>(a: &[E], b: &[E], f: impl Fn(E, E) -> E) -> E {
    vectorized(
        #[inline(always)]
        || lanes::sum(a, b, f),
    )
}

/// Sums over rows in sixteen lanes: fast, and the same whatever the width of a register. For use in loops that are
/// [`vectorized`] as a whole.
pub mod lanes {
    use crate::Real;

    const LANES: usize = 16;

    /// `Σ f(aᵢ, bᵢ)`.
    #[inline(always)]
    pub fn sum<E: Real>(a: &[E], b: &[E], f: impl Fn(E, E) -> E) -> E {
        assert_eq!(a.len(), b.len());
        let mut lanes = [E::zero(); LANES];
        let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let rest = a.remainder().iter().zip(b.remainder());
        for (a, b) in a.zip(b) {
            lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(l, (&a, &b))| *l += f(a, b));
        }
        lanes.iter_mut().zip(rest).for_each(|(l, (&a, &b))| *l += f(a, b));
        folded(lanes, |a, b| a + b)
    }

    /// The largest element; where one is not a number, not a number.
    #[inline(always)]
    pub fn max<E: Real>(x: &[E]) -> E {
        let larger = |a: E, b: E| if b > a || b.is_nan() { b } else { a };
        let mut lanes = [E::neg_infinity(); LANES];
        let chunks = x.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            lanes.iter_mut().zip(chunk).for_each(|(l, &x)| *l = larger(*l, x));
        }
        lanes.iter_mut().zip(rest).for_each(|(l, &x)| *l = larger(*l, x));
        folded(lanes, larger)
    }

    /// The upper half of the lanes onto the lower one, until one is left.
    #[inline(always)]
    fn folded<E: Real>(mut lanes: [E; LANES], f: impl Fn(E, E) -> E) -> E {
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                lanes[i] = f(lanes[i], lanes[i + half]);
            }
        }
        lanes[0]
    }
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
