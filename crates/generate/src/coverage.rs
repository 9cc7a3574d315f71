//! Coverage penalty (Wu et al. 2016, arXiv 1609.08144, equation 14): `β Σᵢ log(min(Σⱼ pᵢⱼ, 1))`, of the attention `pᵢⱼ` of generated token j to
//! source token i.

/// What a token of the source counts as that no token has attended to, as the logarithm of zero is no number.
const LEAST: f64 = f32::MIN_POSITIVE as f64;

/// Adds the attention of a token to the coverage of each token of the source, none at first.
pub(crate) fn cover(coverage: &mut Vec<f64>, attention: &[f64]) {
    coverage.resize(attention.len(), 0.0);
    coverage.iter_mut().zip(attention).for_each(|(sum, weight)| *sum += weight);
}

/// What is added to a score: 0 where every token of the source is covered, else less.
pub(crate) fn penalty(coverage: &[f64], weight: f64) -> f64 {
    weight * coverage.iter().map(|sum| sum.clamp(LEAST, 1.0).ln()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered_costs_nothing_and_what_is_not_a_finite_amount() {
        let mut coverage = Vec::new();
        [[0.75, 0.25, 0.0], [0.75, 0.25, 0.0]].iter().for_each(|weights| cover(&mut coverage, weights));
        assert_eq!(coverage, [1.5, 0.5, 0.0]);
        assert!((penalty(&coverage[..2], 0.4) - 0.4 * 0.5_f64.ln()).abs() < 1e-15);
        assert_eq!(penalty(&coverage[..1], 0.4), 0.0);
        assert!(penalty(&coverage, 100.0).is_finite());
    }
}
