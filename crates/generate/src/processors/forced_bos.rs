use crate::distribution::set;
use crate::{Context, DecodingOptions, LogitsProcessor};

/// Forces the tokens after the decoder's start token.
#[derive(Debug)]
pub(super) struct ForcedBos {
    tokens: Vec<u32>,
}

pub(super) fn new(options: &DecodingOptions) -> Option<ForcedBos> {
    let tokens = options.config.forced_bos_token_id.clone()?.0;
    (!tokens.is_empty()).then_some(ForcedBos { tokens })
}

impl LogitsProcessor for ForcedBos {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        if let (1, Some(token)) = (context.prompt, self.tokens.get(context.generated().len())) {
            scores.fill(f64::NEG_INFINITY);
            set(scores, &[*token], 0.0);
        }
    }
}
