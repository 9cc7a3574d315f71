use super::encoder_repetition_penalty::penalize;
use crate::{Context, DecodingOptions, LogitsProcessor};

/// Divides the positive scores of tokens in the text or its prompt, and multiplies the negative ones.
#[derive(Debug)]
pub(super) struct RepetitionPenalty {
    penalty: f64,
}

pub(super) fn new(options: &DecodingOptions) -> Option<RepetitionPenalty> {
    let penalty = options.config.repetition_penalty.filter(|&penalty| penalty != 1.0)?;
    Some(RepetitionPenalty { penalty })
}

impl LogitsProcessor for RepetitionPenalty {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        penalize(scores, context.tokens, self.penalty);
    }
}
