use crate::distribution::set;
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Forbids EOS while the text is shorter than this.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let length = options.config.min_new_tokens.filter(|&length| length > 0)?;
    let eos = options.eos.clone();
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        if context.generated().len() < length {
            set(scores, &eos, f64::NEG_INFINITY);
        }
    }))
}
