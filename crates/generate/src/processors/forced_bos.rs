use crate::distribution::set;
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Forces the tokens after the decoder's start token.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let tokens = options.config.forced_bos_token_id.clone()?.0;
    if tokens.is_empty() {
        return None;
    }
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        if let (1, Some(token)) = (context.prompt, tokens.get(context.generated().len())) {
            scores.fill(f64::NEG_INFINITY);
            set(scores, &[*token], 0.0);
        }
    }))
}
