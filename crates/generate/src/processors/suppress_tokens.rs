use crate::distribution::set;
use crate::{Context, DecodingOptions, LogitsProcessor};

/// Forbids tokens.
#[derive(Debug)]
pub(super) struct SuppressTokens {
    tokens: Vec<u32>,
}

pub(super) fn new(options: &DecodingOptions) -> Option<SuppressTokens> {
    let tokens = options.config.suppress_tokens.clone()?.0;
    (!tokens.is_empty()).then_some(SuppressTokens { tokens })
}

impl LogitsProcessor for SuppressTokens {
    fn process(&self, _: &Context<'_>, scores: &mut [f64]) {
        set(scores, &self.tokens, f64::NEG_INFINITY);
    }
}
