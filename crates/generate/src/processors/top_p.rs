use crate::distribution::{cut_below, keep, likeliest_first};
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use descant_kernels::log_sum_exp;
use std::sync::Arc;

/// Keeps the nucleus: the fewest most likely tokens that together have this probability.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let probability = options.config.top_p.filter(|&probability| probability < 1.0)?;
    let least = options.min_tokens_to_keep();
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        // Only tokens that may belong to it are sorted: what is left of the probability, spread over all others, is more
        // than each of those has that are dropped here.
        let total = log_sum_exp(scores);
        let floor = total + ((1.0 - probability) / scores.len() as f64).ln();
        context.scratch.scored(|tokens| {
            tokens.extend((0..).zip(scores.iter().copied()).filter(|&(_, score)| score >= floor));
            tokens.sort_unstable_by(likeliest_first);
            let mut sum = 0.0;
            let nucleus = tokens.iter().take_while(|(_, score)| {
                let reached = sum >= probability;
                sum += (score - total).exp();
                !reached
            });
            let kept = nucleus.count().max(least);
            match tokens.get_mut(..kept) {
                Some(kept) => keep(scores, kept),
                // Fewer are likely enough than are to be kept.
                None => cut_below(scores, 1.0, least, context.scratch),
            }
        });
    }))
}
