use crate::{Context, DecodingOptions, LogitsProcessor};

/// Adds to the scores of tokens that would complete a sequence.
#[derive(Debug)]
pub(super) struct SequenceBias {
    sequences: Vec<(Vec<u32>, f64)>,
}

pub(super) fn new(options: &DecodingOptions) -> Option<SequenceBias> {
    let sequences = options.config.sequence_bias.clone().filter(|sequences| !sequences.is_empty())?;
    Some(SequenceBias { sequences })
}

impl LogitsProcessor for SequenceBias {
    fn process(&self, context: &Context<'_>, scores: &mut [f64]) {
        for (sequence, bias) in &self.sequences {
            if let Some(score) = completed(sequence, context).and_then(|token| scores.get_mut(token)) {
                *score += bias;
            }
        }
    }
}

/// The token that completes a sequence, where all before it has just been written.
pub(super) fn completed(sequence: &[u32], context: &Context<'_>) -> Option<usize> {
    let (last, before) = sequence.split_last()?;
    context.tokens.ends_with(before).then_some(*last as usize)
}
