//! Alternatives at a position: the most likely tokens at the first position where a text may go on in several ways, such as after a prompt
//! or a forced prefix, of which each begins a text of its own.

use crate::GenerationConfig;
use crate::candidates::Candidate;

/// Into which alternatives a text parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alternatives {
    /// The most of them.
    pub(crate) count: usize,
    /// The probability that each has at least but the most likely one.
    min_probability: f64,
}

impl Alternatives {
    pub(crate) fn new(config: &GenerationConfig) -> Option<Self> {
        let min_probability = config.min_alternative_expansion_prob.unwrap_or(0.0);
        config.alternatives().map(|count| Self { count, min_probability })
    }

    /// Those of the possible tokens after a text with this log probability, the most likely first.
    pub(crate) fn of(self, possible: &[Candidate], before: f64) -> &[Candidate] {
        let is_likely = |one: &Candidate| (one.log_probability - before).exp() >= self.min_probability;
        let count = possible.partition_point(is_likely).max(1);
        &possible[..count.min(self.count).min(possible.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlikely_alternatives_are_left_out_but_never_all() {
        let of = |count: usize, min_probability: f64| {
            let log =
                |probability: f64, token: u32| Candidate { parent: 0, token, log_probability: probability.ln() - 3.0 };
            let possible = [log(0.5, 7), log(0.3, 2), log(0.01, 5)];
            Alternatives { count, min_probability }.of(&possible, -3.0).iter().map(|one| one.token).collect::<Vec<_>>()
        };
        assert_eq!([of(5, 0.0), of(2, 0.0), of(5, 0.2), of(5, 0.9)], [vec![7, 2, 5], vec![7, 2], vec![7, 2], vec![7]]);
        assert!(Alternatives { count: 3, min_probability: 0.1 }.of(&[], 0.0).is_empty());
    }
}
