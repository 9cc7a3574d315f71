//! Metrics of generated texts against references: BLEU, chrF++ and TER in the numbers of sacreBLEU, ROUGE in those of rouge-score, error
//! rates in those of jiwer.
//!
//! The value of a corpus is [`Metric::score`] of the sums of [`Metric::statistics`] over its texts, so that resamples of a corpus, as
//! the bootstrap draws them, need no second look at the texts.

mod bleu;
mod chrf;
mod edit_distance;
mod error_rate;
mod exact_match;
mod metric;
mod ngrams;
mod registry;
mod rouge;
mod significance;
mod ter;
mod tokenization;
mod unit;
#[cfg(test)]
mod walks;
mod whitespace;

pub use bleu::{Bleu, BleuText};
pub use chrf::{Chrf, ChrfText};
pub use error_rate::ErrorRate;
pub use exact_match::ExactMatch;
pub use metric::{Direction, Metric, Scale, corpus_score, reference_count};
pub use registry::{NAMES, metric, sentence_metric};
pub use rouge::{Rouge, RougeKind};
pub use significance::{Comparison, compare};
pub use ter::Ter;
pub use tokenization::Tokenization;
pub use unit::TextUnit;
