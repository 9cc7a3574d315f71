use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Adds to the scores of tokens that would complete a sequence.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let sequences = options.config.sequence_bias.clone().filter(|sequences| !sequences.is_empty())?;
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        for (sequence, bias) in &sequences {
            if let Some(score) = completed(sequence, context).and_then(|token| scores.get_mut(token)) {
                *score += bias;
            }
        }
    }))
}

/// The token that completes a sequence, where all before it has just been written.
pub(super) fn completed(sequence: &[u32], context: &Context<'_>) -> Option<usize> {
    let (last, before) = sequence.split_last()?;
    context.tokens.ends_with(before).then_some(*last as usize)
}
