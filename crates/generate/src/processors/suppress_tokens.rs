use crate::distribution::set;
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Forbids tokens.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let tokens = options.config.suppress_tokens.clone()?.0;
    if tokens.is_empty() {
        return None;
    }
    Some(Arc::new(move |_: &Context<'_>, scores: &mut [f64]| {
        set(scores, &tokens, f64::NEG_INFINITY);
    }))
}
