use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Lowers the scores of tokens that were generated before.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let penalty = options.config.presence_penalty.filter(|&penalty| penalty != 0.0)?;
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        let mut tokens = context.generated().to_vec();
        tokens.sort_unstable();
        tokens.dedup();
        for token in tokens {
            if let Some(score) = scores.get_mut(token as usize) {
                *score -= penalty;
            }
        }
    }))
}
