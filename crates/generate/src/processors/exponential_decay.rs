use crate::logits_processor::Processor;
use crate::options::LARGEST;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Raises the score of EOS exponentially after some tokens.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let (start, factor) = options.config.exponential_decay_length_penalty?;
    let eos = options.eos.clone();
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        let Some(beyond @ 1..) = context.generated().len().checked_sub(start) else { return };
        let factor = factor.powf(beyond as f64).min(LARGEST) - 1.0;
        for &token in &eos {
            if let Some(score) = scores.get_mut(token as usize).filter(|score| score.is_finite()) {
                *score += score.abs() * factor;
            }
        }
    }))
}
