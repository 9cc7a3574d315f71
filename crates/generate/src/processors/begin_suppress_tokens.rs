use crate::distribution::set;
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Forbids tokens as the first one of a text.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let tokens = options.config.begin_suppress_tokens.clone()?.0;
    let forced = options.config.forced_bos_token_id.as_ref().map_or(0, |ids| ids.0.len());
    if tokens.is_empty() {
        return None;
    }
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        let forced = if context.prompt == 1 { forced } else { 0 };
        if context.generated().len() == forced {
            set(scores, &tokens, f64::NEG_INFINITY);
        }
    }))
}
