use crate::distribution::set;
use crate::{Context, DecodingOptions, LogitsProcessor};

/// Forbids EOS while the text is shorter than this.
#[derive(Debug)]
pub(super) struct MinNewTokens {
    length: usize,
    eos: Vec<u32>,
}

pub(super) fn new(options: &DecodingOptions) -> Option<MinNewTokens> {
    let length = options.config.min_new_tokens.filter(|&length| length > 0)?;
    Some(MinNewTokens { length, eos: options.eos.clone() })
}

impl LogitsProcessor for MinNewTokens {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        if context.generated().len() < self.length {
            set(scores, &self.eos, f64::NEG_INFINITY);
        }
    }
}
