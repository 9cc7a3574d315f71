use super::sequence_bias::completed;
use crate::{Context, DecodingOptions, LogitsProcessor};

/// Forbids tokens that would complete a sequence.
#[derive(Debug)]
pub(super) struct BadWords {
    sequences: Vec<Vec<u32>>,
}

pub(super) fn new(options: &DecodingOptions) -> Option<BadWords> {
    let mut sequences = options.config.bad_words_ids.clone()?;
    // As in transformers: EOS alone is no bad word.
    sequences.retain(|sequence| !matches!(sequence[..], [token] if options.eos.contains(&token)));
    (!sequences.is_empty()).then_some(BadWords { sequences })
}

impl LogitsProcessor for BadWords {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        for sequence in &self.sequences {
            if let Some(score) = completed(sequence, context).and_then(|token| scores.get_mut(token)) {
                *score = f64::NEG_INFINITY;
            }
        }
    }
}
