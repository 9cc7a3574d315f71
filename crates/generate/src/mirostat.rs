use crate::GenerationConfig;
use crate::distribution::largest;
use descant_kernels::log_sum_exp;
use std::f64::consts::LN_2;

/// Mirostat 2 (Basu et al. 2021, arXiv 2007.14966): keeps the mean surprise of the drawn tokens near a target, by leaving out
/// tokens with a surprise above a bound that follows what was drawn.
#[derive(Clone, Debug)]
pub(crate) struct Mirostat {
    /// The target in bits.
    tau: f64,
    /// The learning rate.
    eta: f64,
    /// The bound in bits.
    mu: f64,
}

impl Mirostat {
    pub(crate) fn new(config: &GenerationConfig) -> Option<Self> {
        let tau = config.mirostat_tau?;
        Some(Self { tau, eta: config.mirostat_eta.unwrap_or(0.1), mu: 2.0 * tau })
    }

    /// Forbids tokens with a surprise above the bound, but for the most likely one.
    pub(crate) fn cut(&self, scores: &mut [f64]) {
        let floor = (log_sum_exp(scores) - self.mu * LN_2).min(largest(scores));
        scores.iter_mut().filter(|score| **score < floor).for_each(|score| *score = f64::NEG_INFINITY);
    }

    /// Moves the bound by the log probability of the token that was drawn among those left.
    pub(crate) fn observe(&mut self, log_probability: f64) {
        self.mu -= self.eta * (-log_probability / LN_2 - self.tau);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_follows_the_surprise_of_what_is_drawn() {
        let config = GenerationConfig::sampling(1).with(|config| config.mirostat_tau = Some(1.5));
        let mut mirostat = Mirostat::new(&config).unwrap();
        // Surprises of 1, 2, 3 and 4 bits and more: the bound is 3.
        let probabilities = [0.5, 0.25, 0.125, 0.0625, 0.0625];
        let mut scores = probabilities.map(f64::ln);
        mirostat.mu += 1e-9;
        mirostat.cut(&mut scores);
        assert_eq!(scores.map(|score| score > f64::NEG_INFINITY), [true, true, true, false, false]);
        mirostat.observe(0.25_f64.ln());
        assert!((mirostat.mu - (3.0 - 0.1 * (2.0 - 1.5))).abs() < 1e-6, "{}", mirostat.mu);
        // The most likely token stays in any case.
        mirostat.mu = -4.0;
        mirostat.cut(&mut scores);
        assert_eq!(scores.iter().filter(|score| score.is_finite()).count(), 1);
    }
}
