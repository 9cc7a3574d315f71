use super::encoder_repetition_penalty::each_once;
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Lowers the scores of tokens that were generated before.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let penalty = options.config.presence_penalty.filter(|&penalty| penalty != 0.0)?;
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        each_once(context.generated(), context.scratch, |token| {
            if let Some(score) = scores.get_mut(token as usize) {
                *score -= penalty;
            }
        });
    }))
}
