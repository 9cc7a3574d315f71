use crate::{Context, DecodingOptions, LogitsProcessor};

/// Lowers the score of a token for each time that it was generated before.
#[derive(Debug)]
pub(super) struct FrequencyPenalty {
    penalty: f64,
}

pub(super) fn new(options: &DecodingOptions) -> Option<FrequencyPenalty> {
    let penalty = options.config.frequency_penalty.filter(|&penalty| penalty != 0.0)?;
    Some(FrequencyPenalty { penalty })
}

impl LogitsProcessor for FrequencyPenalty {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        for &token in context.generated() {
            if let Some(score) = scores.get_mut(token as usize) {
                *score -= self.penalty;
            }
        }
    }
}
