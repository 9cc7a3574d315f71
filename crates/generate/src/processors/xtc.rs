use crate::distribution::most_likely_first;
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// XTC (exclude top choices): now and then, leaves out the most likely tokens but the least likely of them.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let probability = options.config.xtc_probability.filter(|&probability| probability > 0.0)?;
    let threshold = options.config.xtc_threshold.unwrap_or(0.1);
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        if context.draw >= probability {
            return;
        }
        context.scratch.scored(|tokens| {
            most_likely_first(scores, tokens);
            let choices = tokens.partition_point(|(_, log)| log.exp() >= threshold);
            for &(token, _) in &tokens[..choices.saturating_sub(1)] {
                scores[token] = f64::NEG_INFINITY;
            }
        });
    }))
}
