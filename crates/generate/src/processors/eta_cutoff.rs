use crate::distribution::{cut_below, entropy, log_sum_exp, possible};
use crate::{Context, DecodingOptions, LogitsProcessor};

/// Keeps tokens of at least a probability that is lower where the entropy is higher.
#[derive(Debug)]
pub(super) struct EtaCutoff {
    epsilon: f64,
    least: usize,
}

pub(super) fn new(options: &DecodingOptions) -> Option<EtaCutoff> {
    let epsilon = options.config.eta_cutoff.filter(|&epsilon| epsilon > 0.0)?;
    Some(EtaCutoff { epsilon, least: options.min_tokens_to_keep() })
}

impl LogitsProcessor for EtaCutoff {
    fn process(&self, _: &Context<'_>, scores: &mut [f64]) {
        let total = log_sum_exp(scores);
        let entropy = entropy(possible(scores).map(|token| scores[token] - total));
        cut_below(scores, self.epsilon.min(self.epsilon.sqrt() * (-entropy).exp()), self.least);
    }
}
