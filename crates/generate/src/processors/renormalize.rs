use crate::distribution::log_sum_exp;
use crate::{Context, DecodingOptions, LogitsProcessor};

/// Makes log probabilities of scores again, after all other processors.
#[derive(Debug)]
pub(super) struct Renormalize;

pub(super) fn new(options: &DecodingOptions) -> Option<Renormalize> {
    (options.config.renormalize_logits == Some(true)).then_some(Renormalize)
}

impl LogitsProcessor for Renormalize {
    fn process(&self, _: &Context<'_>, scores: &mut [f64]) {
        let total = log_sum_exp(scores);
        if total.is_finite() {
            scores.iter_mut().for_each(|score| *score -= total);
        }
    }
}
