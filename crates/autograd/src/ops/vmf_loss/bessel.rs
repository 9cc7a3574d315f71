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
    #[rustfmt::skip]
    const REFERENCE: [(usize, f64, f64, f64); 48] = [
        (2, 0.001, 1.8378773164093298, 0.0004999999375000105),
        (2, 0.5, 1.8994267855948268, 0.24249961258080194),
        (2, 7.0, 6.965369981492194, 0.9255322107941522),
        (2, 80.0, 78.72949761119494, 0.9937302197128678),
        (2, 1000.0, 997.4651859562788, 0.9994998748748043),
        (2, 10000.0, 9996.313780847842, 0.999949998749875),
        (3, 0.001, 2.531024413635952, 0.0003333333111111132),
        (3, 0.5, 2.572349101582209, 0.16395341373865285),
        (3, 7.0, 6.891966085824968, 0.8571445202016782),
        (3, 80.0, 77.45585043173547, 0.9875),
        (3, 1000.0, 994.9301217874272, 0.999),
        (3, 10000.0, 9992.627536694434, 0.9999),
        (10, 0.001, 3.2387428294590004, 9.999999916666668e-05),
        (10, 0.5, 3.2512297895341127, 0.049896203861781466),
        (10, 7.0, 5.337643903031099, 0.5271276363169639),
        (10, 80.0, 68.45228732582689, 0.944995349861448),
        (10, 1000.0, 977.177669112346, 0.9955078828557041),
        (10, 10000.0, 9966.823127585581, 0.999550078757873),
        (64, 0.001, -40.76772001776206, 1.56249999963009e-05),
        (64, 0.5, -40.76576695836858, 0.007812037665568766),
        (64, 7.0, -40.387095249115596, 0.10813401675489936),
        (64, 80.0, -6.108812664369449, 0.6795138966977808),
        (64, 1000.0, 839.8182594404815, 0.9689807403096334),
        (64, 10000.0, 9767.719366011, 0.9968548042189045),
        (129, 0.001, -128.5585800141059, 7.751937984037403e-06),
        (129, 0.5, -128.55761103290118, 0.003875911653706722),
        (129, 7.0, -128.36893184205962, 0.05410711678465877),
        (129, 80.0, -107.02295920605206, 0.47915444892200154),
        (129, 1000.0, 673.5114639763054, 0.9380159828643096),
        (129, 10000.0, 9527.960739040285, 0.9936201618130125),
        (130, 0.001, -130.0676097180241, 7.692307691859423e-06),
        (130, 0.5, -130.0666481904128, 0.0038460978140522246),
        (130, 7.0, -129.8794162533556, 0.053693256371390115),
        (130, 80.0, -108.66167876291412, 0.4768228454519675),
        (130, 1000.0, 670.9446555311931, 0.9375478249575528),
        (130, 10000.0, 9524.271319749707, 0.993570480588413),
        (300, 0.001, -427.6068404956908, 3.3333333332965416e-06),
        (300, 0.5, -427.60642383126566, 0.0016666620677220495),
        (300, 7.0, -427.52519589913913, 0.02332072730253158),
        (300, 80.0, -417.28567096398234, 0.2500861674530305),
        (300, 1000.0, 230.9677383050559, 0.8615503155185644),
        (300, 10000.0, 8896.706663351513, 0.9851610086893432),
        (1024, 0.001, -2093.027298265368, 9.765624999990706e-07),
        (1024, 0.5, -2093.0271761955582, 0.0004882811338116638),
        (1024, 7.0, -2093.003373042508, 0.006835618708731709),
        (1024, 80.0, -2089.911740127795, 0.07765479280821587),
        (1024, 1000.0, -1721.2199202497177, 0.611599968624106),
        (1024, 10000.0, 6215.931168465432, 0.9501548828001899),
    ];

    #[test]
    fn it_agrees_with_mpmath_for_all_dimensions_and_lengths() {
        for (m, kappa, negative_log_c, ratio) in REFERENCE {
            let (value, slope) = normalizer(m, kappa);
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
