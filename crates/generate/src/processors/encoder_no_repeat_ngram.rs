use super::no_repeat_ngram::forbid_ngrams;
use crate::{Context, DecodingOptions, LogitsProcessor};

/// Forbids tokens that would complete an n-gram of the source.
#[derive(Debug)]
pub(super) struct EncoderNoRepeatNgram {
    size: usize,
}

pub(super) fn new(options: &DecodingOptions) -> Option<EncoderNoRepeatNgram> {
    let size = options.config.encoder_no_repeat_ngram_size.filter(|&size| size > 0)?;
    Some(EncoderNoRepeatNgram { size })
}

impl LogitsProcessor for EncoderNoRepeatNgram {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        // Of a language model, what transformers calls the encoder's input is the prompt.
        let read = context.source.unwrap_or(&context.tokens[..context.prompt]);
        forbid_ngrams(read, self.size, context.tokens, scores);
    }
}
