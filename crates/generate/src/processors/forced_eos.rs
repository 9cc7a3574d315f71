use crate::distribution::set;
use crate::{Context, DecodingOptions, LogitsProcessor};

/// Forces EOS as the last token that the limit allows.
#[derive(Debug)]
pub(super) struct ForcedEos {
    tokens: Vec<u32>,
}

pub(super) fn new(options: &DecodingOptions) -> Option<ForcedEos> {
    let tokens = options.config.forced_eos(&options.eos).to_vec();
    (!tokens.is_empty()).then_some(ForcedEos { tokens })
}

impl LogitsProcessor for ForcedEos {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        if context.generated().len() + 1 == context.limit {
            scores.fill(f64::NEG_INFINITY);
            set(scores, &self.tokens, 0.0);
        }
    }
}
