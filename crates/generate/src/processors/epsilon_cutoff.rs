use crate::distribution::cut_below;
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Keeps tokens of at least this probability.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let epsilon = options.config.epsilon_cutoff.filter(|&epsilon| epsilon > 0.0)?;
    let least = options.min_tokens_to_keep();
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        cut_below(scores, epsilon, least, context.scratch);
    }))
}
