use crate::distribution::set;
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Forces EOS as the last token that the limit allows. A text that its constraints do not let end there is cut, as any other.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let tokens = options.config.forced_eos(&options.eos).to_vec();
    if tokens.is_empty() {
        return None;
    }
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        if context.may_end && context.generated().len() + 1 == context.limit {
            scores.fill(f64::NEG_INFINITY);
            set(scores, &tokens, 0.0);
        }
    }))
}
