use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Keeps the k most likely tokens, and those that are as likely as the last of them.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let k = options.config.top_k?.max(options.min_tokens_to_keep());
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        if k < scores.len() {
            let least = context.scratch.scores(|all| {
                all.extend_from_slice(scores);
                *all.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1
            });
            scores.iter_mut().filter(|score| **score < least).for_each(|score| *score = f64::NEG_INFINITY);
        }
    }))
}
