use super::sequence_bias::completed;
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Forbids tokens that would complete a sequence.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let mut sequences = options.config.bad_words_ids.clone()?;
    // As in transformers: EOS alone is no bad word.
    sequences.retain(|sequence| !matches!(sequence[..], [token] if options.eos.contains(&token)));
    if sequences.is_empty() {
        return None;
    }
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        for sequence in &sequences {
            if let Some(score) = completed(sequence, context).and_then(|token| scores.get_mut(token)) {
                *score = f64::NEG_INFINITY;
            }
        }
    }))
}
