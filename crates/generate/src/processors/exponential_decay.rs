use crate::{Context, DecodingOptions, LogitsProcessor};

/// Raises the score of EOS exponentially after some tokens.
#[derive(Debug)]
pub(super) struct ExponentialDecay {
    start: usize,
    factor: f64,
    eos: Vec<u32>,
}

pub(super) fn new(options: &DecodingOptions) -> Option<ExponentialDecay> {
    let (start, factor) = options.config.exponential_decay_length_penalty?;
    Some(ExponentialDecay { start, factor, eos: options.eos.clone() })
}

impl LogitsProcessor for ExponentialDecay {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        let Some(beyond @ 1..) = context.generated().len().checked_sub(self.start) else { return };
        let factor = self.factor.powf(beyond as f64) - 1.0;
        for &token in &self.eos {
            if let Some(score) = scores.get_mut(token as usize).filter(|score| score.is_finite()) {
                // A large finite score is as good as infinity, and no NaN comes of it.
                *score = (*score + score.abs() * factor).min(f64::MAX);
            }
        }
    }
}
