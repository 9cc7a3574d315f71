use crate::distribution::most_likely_first;
use crate::{Context, DecodingOptions, LogitsProcessor};

/// XTC (exclude top choices): now and then, leaves out the most likely tokens but the least likely of them.
#[derive(Debug)]
pub(super) struct Xtc {
    probability: f64,
    threshold: f64,
}

pub(super) fn new(options: &DecodingOptions) -> Option<Xtc> {
    let probability = options.config.xtc_probability.filter(|&probability| probability > 0.0)?;
    Some(Xtc { probability, threshold: options.config.xtc_threshold.unwrap_or(0.1) })
}

impl LogitsProcessor for Xtc {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        if context.draw >= self.probability {
            return;
        }
        let tokens = most_likely_first(scores);
        let choices = tokens.partition_point(|(_, log)| log.exp() >= self.threshold);
        for &(token, _) in &tokens[..choices.saturating_sub(1)] {
            scores[token] = f64::NEG_INFINITY;
        }
    }
}
