use super::no_repeat_ngram::forbid_ngrams;
use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Forbids tokens that would complete an n-gram of the source.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let size = options.config.encoder_no_repeat_ngram_size.filter(|&size| size > 0)?;
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        // Of a language model, what transformers calls the encoder's input is the prompt.
        let read = context.source.unwrap_or(&context.tokens[..context.prompt]);
        forbid_ngrams(read, size, context.tokens, scores);
    }))
}
