use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Lowers the score of a token for each time that it was generated before.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let penalty = options.config.frequency_penalty.filter(|&penalty| penalty != 0.0)?;
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        for &token in context.generated() {
            if let Some(score) = scores.get_mut(token as usize) {
                *score -= penalty;
            }
        }
    }))
}
