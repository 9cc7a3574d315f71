use crate::{Context, DecodingOptions, LogitsProcessor};

/// Forbids tokens that would complete an n-gram that the text or its prompt has already.
#[derive(Debug)]
pub(super) struct NoRepeatNgram {
    size: usize,
}

pub(super) fn new(options: &DecodingOptions) -> Option<NoRepeatNgram> {
    let size = options.config.no_repeat_ngram_size.filter(|&size| size > 0)?;
    Some(NoRepeatNgram { size })
}

impl LogitsProcessor for NoRepeatNgram {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        forbid_ngrams(context.tokens, self.size, context.tokens, scores);
    }
}

/// Forbids tokens that would complete an n-gram of `known` at the end of `tokens`.
pub(super) fn forbid_ngrams(known: &[u32], size: usize, tokens: &[u32], scores: &mut [f64]) {
    let Some(start) = (tokens.len() + 1).checked_sub(size) else { return };
    for ngram in known.windows(size).filter(|ngram| ngram[..size - 1] == tokens[start..]) {
        crate::distribution::set(scores, &ngram[size - 1..], f64::NEG_INFINITY);
    }
}
