use crate::logits_processor::Processor;
use crate::scratch::Scratch;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Multiplies the positive scores of tokens in the source, and divides the negative ones.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let penalty = options.config.encoder_repetition_penalty.filter(|&penalty| penalty != 1.0)?;
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        // Of a language model, what transformers calls the encoder's input is the prompt.
        let read = context.source.unwrap_or(&context.tokens[..context.prompt]);
        penalize(scores, read, 1.0 / penalty, context.scratch);
    }))
}

/// Divides the positive scores of tokens by a penalty, and multiplies the negative ones, each once.
pub(super) fn penalize(scores: &mut [f64], tokens: &[u32], penalty: f64, scratch: &Scratch) {
    each_once(tokens, scratch, |token| {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
        }
    });
}

/// Calls `f` with each of these tokens once, in order.
pub(super) fn each_once(tokens: &[u32], scratch: &Scratch, f: impl FnMut(u32)) {
    scratch.tokens(|distinct| {
        distinct.extend_from_slice(tokens);
        distinct.sort_unstable();
        distinct.dedup();
        distinct.iter().copied().for_each(f);
    });
}
