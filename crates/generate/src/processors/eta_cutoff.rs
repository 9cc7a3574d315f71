use crate::distribution::{cut_below, entropy, possible};
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use descant_kernels::log_sum_exp;
use std::sync::Arc;

/// Keeps tokens of at least a probability that is lower where the entropy is higher.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let epsilon = options.config.eta_cutoff.filter(|&epsilon| epsilon > 0.0)?;
    let least = options.min_tokens_to_keep();
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        let total = log_sum_exp(scores);
        let entropy = entropy(possible(scores).map(|token| scores[token] - total));
        cut_below(scores, epsilon.min(epsilon.sqrt() * (-entropy).exp()), least, context.scratch);
    }))
}
