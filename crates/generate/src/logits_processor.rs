use crate::scratch::Scratch;
use std::fmt;
use std::sync::Arc;

/// Changes the scores of the next token: logits in greedy decoding and sampling, log probabilities in a beam search, as in
/// `transformers`. The built-in ones are in `processors/`; your own go into
/// [`DecodingOptions::processors`](crate::DecodingOptions::processors). A closure is one.
pub trait LogitsProcessor: Send + Sync {
    /// Changes the scores in place, one for each token of the vocabulary. A score of `f64::NEG_INFINITY` forbids a token.
    fn process(&self, context: &Context<'_>, scores: &mut [f64]);
}

pub(crate) type Processor = Arc<dyn LogitsProcessor>;

impl<F: Fn(&Context<'_>, &mut [f64]) + Send + Sync> LogitsProcessor for F {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        self(context, scores);
    }
}

impl fmt::Debug for dyn LogitsProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogitsProcessor")
    }
}

/// What a [`LogitsProcessor`] knows of the text.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The tokens of the source; a language model has none.
    pub source: Option<&'a [u32]>,
    /// The prompt with BOS, or the decoder's start token, and what was generated after it.
    pub tokens: &'a [u32],
    /// How many of them are the prompt.
    pub prompt: usize,
    /// The most new tokens.
    pub limit: usize,
    /// Whether its constraints let the text end here.
    pub may_end: bool,
    /// A random number from 0 to below 1 of this step, where an option needs one.
    pub draw: f64,
    pub(crate) scratch: &'a Scratch,
}

impl<'a> Context<'a> {
    /// The tokens generated so far.
    pub fn generated(&self) -> &'a [u32] {
        &self.tokens[self.prompt..]
    }
}
