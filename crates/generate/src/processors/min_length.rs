use crate::distribution::set;
use crate::{Context, DecodingOptions, LogitsProcessor};

/// Forbids EOS while the text with its prompt is shorter than this.
#[derive(Debug)]
pub(super) struct MinLength {
    length: usize,
    eos: Vec<u32>,
}

pub(super) fn new(options: &DecodingOptions) -> Option<MinLength> {
    let length = options.config.min_length.filter(|&length| length > 0)?;
    Some(MinLength { length, eos: options.eos.clone() })
}

impl LogitsProcessor for MinLength {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        if context.tokens.len() < self.length {
            set(scores, &self.eos, f64::NEG_INFINITY);
        }
    }
}
