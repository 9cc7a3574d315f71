use crate::distribution::{cut_below, largest, log_sum_exp};
use crate::{Context, DecodingOptions, LogitsProcessor};

/// Keeps tokens of at least a share of the most likely token's probability.
#[derive(Debug)]
pub(super) struct MinP {
    share: f64,
    least: usize,
}

pub(super) fn new(options: &DecodingOptions) -> Option<MinP> {
    let share = options.config.min_p.filter(|&share| share > 0.0)?;
    Some(MinP { share, least: options.min_tokens_to_keep() })
}

impl LogitsProcessor for MinP {
    fn process(&self, _: &Context<'_>, scores: &mut [f64]) {
        let most = (largest(scores) - log_sum_exp(scores)).exp();
        cut_below(scores, self.share * most, self.least);
    }
}
