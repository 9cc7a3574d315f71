//! Metrics of generated texts against references: BLEU, chrF++ and TER in the numbers of sacreBLEU, ROUGE in those of rouge-score, error
//! rates in those of jiwer, F1 of slots in those of seqeval; and of outputs by themselves: how diverse they are, how much they repeat, and copy
//! from their sources.
//!
//! The value of a corpus is [`Metric::score`] of the sums (or the lists) of [`Metric::statistics`] over its texts, so that resamples of a corpus,
//! as the bootstrap draws them, need no second look at the texts.

mod bleu;
mod chrf;
mod copy_rate;
mod distinct;
mod edit_distance;
mod error_rate;
mod exact_match;
mod metric;
mod ngrams;
mod registry;
mod repetition;
mod rouge;
mod significance;
mod slot_f1;
mod ter;
mod tokenization;
mod unit;
#[cfg(test)]
mod walks;
mod whitespace;

pub use bleu::{Bleu, BleuText};
pub use chrf::{Chrf, ChrfText};
pub use copy_rate::CopyRate;
pub use distinct::Distinct;
pub use error_rate::ErrorRate;
pub use exact_match::ExactMatch;
pub use metric::{Direction, Metric, Pooling, Scale, corpus_score, reference_count};
pub use registry::{NAMES, WITHOUT_SOURCES, metric, sentence_metric, unfit};
pub use repetition::Repetition;
pub use rouge::{Rouge, RougeKind};
pub use significance::{Comparison, compare};
pub use slot_f1::SlotF1;
pub use ter::Ter;
pub use tokenization::Tokenization;
pub use unit::TextUnit;
