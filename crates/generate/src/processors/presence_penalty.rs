use crate::{Context, DecodingOptions, LogitsProcessor};

/// Lowers the scores of tokens that were generated before.
#[derive(Debug)]
pub(super) struct PresencePenalty {
    penalty: f64,
}

pub(super) fn new(options: &DecodingOptions) -> Option<PresencePenalty> {
    let penalty = options.config.presence_penalty.filter(|&penalty| penalty != 0.0)?;
    Some(PresencePenalty { penalty })
}

impl LogitsProcessor for PresencePenalty {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        let mut tokens = context.generated().to_vec();
        tokens.sort_unstable();
        tokens.dedup();
        for token in tokens {
            if let Some(score) = scores.get_mut(token as usize) {
                *score -= self.penalty;
            }
        }
    }
}
