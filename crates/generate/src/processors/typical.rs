use crate::distribution::{entropy, keep, likeliest_first, most_likely_first};
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Keeps the tokens whose information is nearest the entropy, that together have this probability.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let probability = options.config.typical_p.filter(|&probability| probability < 1.0)?;
    let least = options.min_tokens_to_keep();
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        context.scratch.scored(|tokens| {
            most_likely_first(scores, tokens);
            let entropy = entropy(tokens.iter().map(|&(_, log)| log));
            let distance = |log: f64| (-log - entropy).abs();
            tokens.sort_unstable_by(|a, b| distance(a.1).total_cmp(&distance(b.1)).then_with(|| likeliest_first(a, b)));
            let mut sum = 0.0;
            let before = tokens.iter().take_while(|(_, log)| {
                sum += log.exp();
                sum < probability
            });
            let last = before.count().min(tokens.len().saturating_sub(1));
            // Those as typical as the last one are kept as well.
            let Some(most) = tokens.get(last).map(|&(_, log)| distance(log)) else { return };
            let kept = tokens.partition_point(|&(_, log)| distance(log) <= most).max(least).min(tokens.len());
            keep(scores, &mut tokens[..kept]);
        });
    }))
}
