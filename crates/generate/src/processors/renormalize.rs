use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use descant_kernels::log_sum_exp;
use std::sync::Arc;

/// Makes log probabilities of scores again, after all other processors.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    if options.config.renormalize_logits != Some(true) {
        return None;
    }
    Some(Arc::new(|_: &Context<'_>, scores: &mut [f64]| {
        let total = log_sum_exp(scores);
        if total.is_finite() {
            scores.iter_mut().for_each(|score| *score -= total);
        }
    }))
}
