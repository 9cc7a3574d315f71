use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Forbids tokens that would complete an n-gram that the text or its prompt has already.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let size = options.config.no_repeat_ngram_size.filter(|&size| size > 0)?;
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        forbid_ngrams(context.tokens, size, context.tokens, scores);
    }))
}

/// Forbids tokens that would complete an n-gram of `known` at the end of `tokens`.
pub(super) fn forbid_ngrams(known: &[u32], size: usize, tokens: &[u32], scores: &mut [f64]) {
    let Some(start) = (tokens.len() + 1).checked_sub(size) else { return };
    for ngram in known.windows(size).filter(|ngram| ngram[..size - 1] == tokens[start..]) {
        crate::distribution::set(scores, &ngram[size - 1..], f64::NEG_INFINITY);
    }
}
