//! How sequences become batches.

use crate::corpus::data::SequenceSpan;
use crate::mixture::Mixture;
use crate::ramp::Ramp;
use crate::{InputBuilder, Noise, SpanCorruption, SpecialTokens, SubwordRegularization};
use serde::{Deserialize, Serialize};

/// Which orders of a corpus there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shuffle {
    /// All orders of all sequences.
    #[default]
    Exact,
    /// Orders of blocks of neighbouring sequences, and of the sequences within windows of many blocks.
    Blocks,
}

/// How sequences become batches.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BatchConfig {
    /// Tokens in a batch at most, where of a pair the longer side counts: so there are no more than these on either side. A
    /// longer sequence is a batch of its own.
    pub tokens: usize,
    /// Sequences in a batch, in place of `tokens`.
    pub sequences: Option<usize>,
    /// Tokens of a chunk of a continuous text.
    pub length: usize,
    /// Whether a continuous text is read as contiguous streams, one for each row of a batch: each batch has the next chunk of every
    /// stream, so that a state can be carried from one to the next.
    pub streams: bool,
    /// What the order is drawn from, anew in every epoch; or none, for the text's own order.
    pub shuffle: Option<u64>,
    /// Which order that is.
    pub order: Shuffle,
    /// Special tokens of the source and of the target.
    pub special: [SpecialTokens; 2],
    /// The share of the sequences in which a control attribute is left out, each by itself, where they are shuffled: those of a training.
    pub control_dropout: f64,
    /// How the corpora are mixed that the text has, where sequences are shuffled; by default, each sequence comes once in an epoch.
    pub mixture: Option<Mixture>,
    /// Noise on sources, where sequences are shuffled.
    pub noise: Option<Noise>,
    /// Span corruption of texts without sources.
    pub corruption: Option<SpanCorruption>,
    /// Subword regularisation of sources and of targets, where sequences are shuffled.
    pub subwords: [Option<SubwordRegularization>; 2],
    /// Batches of a step.
    pub accumulate: usize,
    /// Whether a step ends with the epoch: its last one is then of what is left.
    pub whole_epochs: bool,
    /// The share of the tokens or sequences of a step that it has in the first steps.
    pub batch_ramp: Ramp,
    /// The share of `length` that chunks have in the first steps; of other sequences, the share of the
    /// batches that may come, those of the shortest.
    pub length_ramp: Ramp,
}

impl Default for BatchConfig {
    /// 2048 tokens, chunks of 128, in the text's own order.
    fn default() -> Self {
        Self {
            tokens: 2048,
            sequences: None,
            length: 128,
            streams: false,
            shuffle: None,
            order: Shuffle::Exact,
            special: Default::default(),
            control_dropout: 0.0,
            mixture: None,
            noise: None,
            corruption: None,
            subwords: Default::default(),
            accumulate: 1,
            whole_epochs: false,
            batch_ramp: Ramp::default(),
            length_ramp: Ramp::default(),
        }
    }
}

impl BatchConfig {
    /// Cuts sequences that are sorted by length into batches.
    pub(crate) fn cut(
        &self,
        places: Vec<SequenceSpan>,
        size: impl Fn(&SequenceSpan) -> usize,
    ) -> Vec<Vec<SequenceSpan>> {
        let mut batches: Vec<Vec<SequenceSpan>> = Vec::new();
        let mut tokens = 0;
        for place in places {
            let more = size(&place);
            let full = match (batches.last(), self.sequences) {
                (None, _) => true,
                (Some(batch), Some(sequences)) => batch.len() >= sequences,
                (Some(_), None) => tokens + more > self.tokens,
            };
            if full {
                batches.push(Vec::new());
                tokens = 0;
            }
            tokens += more;
            if let Some(batch) = batches.last_mut() {
                batch.push(place);
            }
        }
        batches
    }

    /// How many of these sequences come nearest to such a share of a whole batch, and the share that they are.
    pub(crate) fn part(
        &self,
        places: &[SequenceSpan],
        share: f64,
        size: impl Fn(&SequenceSpan) -> usize,
    ) -> (usize, f64) {
        let whole = self.sequences.unwrap_or(self.tokens) as f64;
        let (mut count, mut sum) = (0, 0.0);
        for place in places {
            let size = if self.sequences.is_some() { 1.0 } else { size(place) as f64 };
            if sum + size / 2.0 > share * whole {
                break;
            }
            count += 1;
            sum += size;
        }
        (count, sum / whole)
    }
}

/// The tokens of a sequence, of a pair those of its longer side.
pub(crate) fn tokens(
    place: &SequenceSpan,
    is_continuous: bool,
    (builder, corruption): (&InputBuilder, Option<&SpanCorruption>),
) -> usize {
    // The first token of a chunk is only read.
    let ids = (place.target.end - place.target.start) as usize;
    if let Some(corruption) = corruption {
        let [left, written] = corruption.lengths(ids);
        return match corruption.has_encoder() {
            true => builder.source_tokens(left).max(builder.target_tokens(written)),
            false => builder.target_tokens(left + written),
        };
    }
    let mut target = if is_continuous { ids - 1 } else { builder.target_tokens(ids) };
    let mut source = place.source.as_ref().map_or(0, |range| builder.source_tokens((range.end - range.start) as usize));
    if place.rejected > 0 {
        // What is rejected is read after a source, or a prompt, of its own.
        target += builder.target_tokens(place.prompt);
        source *= 2;
    }
    target.max(source)
}
