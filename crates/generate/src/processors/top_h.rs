use crate::distribution::{entropy, keep, most_likely_first};
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// The most tokens that are looked at, as in transformers.
const MOST: usize = 100;

/// Keeps the most likely tokens up to a share of the entropy.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let share = options.config.top_h?;
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        context.scratch.scored(|tokens| {
            most_likely_first(scores, tokens);
            tokens.truncate(MOST);
            // The most likely tokens alone are the distribution.
            let total = tokens.iter().map(|(_, log)| log.exp()).sum::<f64>().ln();
            let logs = || tokens.iter().map(|(_, log)| log - total);
            let threshold = entropy(logs()) * share;
            let mut sum = 0.0;
            let kept = logs().take_while(|log| {
                sum += entropy([*log].into_iter());
                sum <= threshold
            });
            let kept = kept.count().max(1).min(tokens.len());
            keep(scores, &mut tokens[..kept]);
        });
    }))
}
