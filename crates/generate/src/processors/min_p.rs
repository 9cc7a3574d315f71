use crate::distribution::{cut_below, largest};
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use descant_kernels::log_sum_exp;
use std::sync::Arc;

/// Keeps tokens of at least a share of the most likely token's probability.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let share = options.config.min_p.filter(|&share| share > 0.0)?;
    let least = options.min_tokens_to_keep();
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        let most = (largest(scores) - log_sum_exp(scores)).exp();
        cut_below(scores, share * most, least, context.scratch);
    }))
}
