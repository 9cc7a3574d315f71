use super::encoder_repetition_penalty::penalize;
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Divides the positive scores of tokens in the text or its prompt, and multiplies the negative ones.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let penalty = options.config.repetition_penalty.filter(|&penalty| penalty != 1.0)?;
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        penalize(scores, context.tokens, penalty, context.scratch);
    }))
}
