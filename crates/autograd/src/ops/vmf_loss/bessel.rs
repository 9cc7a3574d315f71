//! The normalizer of the von Mises-Fisher distribution, by modified Bessel functions.

use std::f64::consts::TAU;

/// Orders from which the asymptotic expansion, cut after its fifth term, has an error below 1e-12.
const LARGE: f64 = 64.0;

/// `-log Cₘ(κ)`, and its derivative `I_(m/2)(κ) / I_(m/2-1)(κ)` divided by κ; both also at κ = 0.
///
/// The logarithm of I comes from the expansion for large orders, and is carried down to the order wanted by the ratios of
/// neighbouring orders. These obey a recurrence that is stable downwards.
pub(super) fn normalizer(m: usize, kappa: f64) -> (f64, f64) {
    let order = m as f64 / 2.0 - 1.0;
    let steps = (LARGE - order).max(0.0).ceil() as usize;
    let mut log = log_bessel(order + steps as f64, kappa);
    let mut ratio = ratio(order + steps as f64, kappa);
    for step in (0..steps).rev() {
        // I_(v-1) = 2v/κ I_v + I_(v+1)
        ratio = 1.0 / (2.0 * (order + step as f64 + 1.0) + kappa * kappa * ratio);
        log -= ratio.ln();
    }
    (m as f64 / 2.0 * TAU.ln() + log, ratio)
}

/// `log(I_v(κ) / κ^v)` for a large order v (NIST Digital Library of Mathematical Functions, 10.41.3).
fn log_bessel(v: f64, kappa: f64) -> f64 {
    let root = (kappa / v).hypot(1.0);
    let (t, u) = (1.0 / root, 1.0 / (root * root));
    // Coefficients of tᵏ uʲ in the k-th term.
    const TERMS: [&[f64]; 5] = [
        &[1.0 / 8.0, -5.0 / 24.0],
        &[9.0 / 128.0, -77.0 / 192.0, 385.0 / 1152.0],
        &[75.0 / 1024.0, -4563.0 / 5120.0, 17017.0 / 9216.0, -85085.0 / 82944.0],
        &[3675.0 / 32768.0, -96833.0 / 40960.0, 144001.0 / 16384.0, -7436429.0 / 663552.0, 37182145.0 / 7962624.0],
        &[
            59535.0 / 262144.0,
            -67608983.0 / 9175040.0,
            250881631.0 / 5898240.0,
            -108313205.0 / 1179648.0,
            5391411025.0 / 63700992.0,
            -5391411025.0 / 191102976.0,
        ],
    ];
    let horner = |terms: &[f64]| terms.iter().rev().fold(0.0, |sum, c| sum * u + c);
    let series = TERMS.iter().rev().fold(0.0, |sum, terms| (sum + horner(terms)) * t / v);
    v * (root - (v * (1.0 + root)).ln()) - 0.5 * (TAU * v * root).ln() + series.ln_1p()
}

/// `I_(v+1)(κ) / (κ I_v(κ))` by Perron's continued fraction (Gautschi & Slavik 1978), of which 32 terms exhaust f64 for
/// orders of at least [`LARGE`], whatever κ.
fn ratio(v: f64, kappa: f64) -> f64 {
    let tail = (1..=32).rev().fold(0.0, |tail, j| {
        let j = f64::from(j);
        (2.0 * v + 2.0 * j + 1.0) * kappa / (2.0 * v + 2.0 + j + 2.0 * kappa - tail)
    });
    1.0 / (2.0 * v + 2.0 + kappa - tail)
}

#[cfg(test)]
mod tests {
    use super::normalizer;

    /// m, κ, `-log Cₘ(κ)` and `I_(m/2)(κ) / I_(m/2-1)(κ)`, from mpmath at 40 digits.
    const REFERENCE: &str = include_str!("bessel.tsv");

    #[test]
    fn it_agrees_with_mpmath_for_all_dimensions_and_lengths() {
        assert_eq!(REFERENCE.lines().count(), 48);
        for line in REFERENCE.lines() {
            let numbers: Vec<f64> = line.split('\t').map(|number| number.parse().unwrap()).collect();
            let [m, kappa, negative_log_c, ratio] = numbers[..] else { panic!("{line}") };
            let (value, slope) = normalizer(m as usize, kappa);
            let error = (value - negative_log_c).abs() / negative_log_c.abs().max(1.0);
            assert!(error < 1e-12, "m {m}, κ {kappa}: {value} for {negative_log_c}");
            assert!((slope * kappa / ratio - 1.0).abs() < 1e-13, "m {m}, κ {kappa}: {} for {ratio}", slope * kappa);
        }
    }

    #[test]
    fn without_length_it_is_the_area_of_the_sphere() {
        let (value, slope) = normalizer(3, 0.0);
        assert!((value - (4.0 * std::f64::consts::PI).ln()).abs() < 1e-12);
        assert!((slope - 1.0 / 3.0).abs() < 1e-15);
    }
}
