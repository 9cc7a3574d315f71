use crate::distribution::cut_below;
use crate::{Context, DecodingOptions, LogitsProcessor};

/// Keeps tokens of at least this probability.
#[derive(Debug)]
pub(super) struct EpsilonCutoff {
    epsilon: f64,
    least: usize,
}

pub(super) fn new(options: &DecodingOptions) -> Option<EpsilonCutoff> {
    let epsilon = options.config.epsilon_cutoff.filter(|&epsilon| epsilon > 0.0)?;
    Some(EpsilonCutoff { epsilon, least: options.min_tokens_to_keep() })
}

impl LogitsProcessor for EpsilonCutoff {
    fn process(&self, _: &Context<'_>, scores: &mut [f64]) {
        cut_below(scores, self.epsilon, self.least);
    }
}
