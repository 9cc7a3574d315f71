use crate::distribution::set;
use crate::{Context, DecodingOptions, LogitsProcessor};

/// Forbids tokens as the first one of a text.
#[derive(Debug)]
pub(super) struct BeginSuppressTokens {
    tokens: Vec<u32>,
    /// Tokens that are forced before.
    forced: usize,
}

pub(super) fn new(options: &DecodingOptions) -> Option<BeginSuppressTokens> {
    let tokens = options.config.begin_suppress_tokens.clone()?.0;
    let forced = options.config.forced_bos_token_id.as_ref().map_or(0, |ids| ids.0.len());
    (!tokens.is_empty()).then_some(BeginSuppressTokens { tokens, forced })
}

impl LogitsProcessor for BeginSuppressTokens {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        let forced = if context.prompt == 1 { self.forced } else { 0 };
        if context.generated().len() == forced {
            set(scores, &self.tokens, f64::NEG_INFINITY);
        }
    }
}
