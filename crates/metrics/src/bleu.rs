//! BLEU (Papineni et al. 2002), in the numbers of sacreBLEU (Post 2018).

use crate::metric::{Direction, Metric, Scale};
use crate::ngrams::Ngrams;
use crate::tokenization::Tokenization;

/// BLEU of a corpus: up to 4-grams, precisions without a match smoothed exponentially, as sacreBLEU does by default.
///
/// `BP · exp(Σₙ ln pₙ / 4)`, with the brevity penalty `BP = min(1, exp(1 - r / c))` of the lengths of references and hypotheses.
/// The statistics of a text are its length, that of the nearest reference, and for each order its matches and its n-grams.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bleu {
    /// How texts are cut into words.
    pub tokenization: Tokenization,
}

/// The longest n-gram.
const ORDERS: usize = 4;

impl Metric for Bleu {
    fn signature(&self, references: &str) -> String {
        format!("nrefs:{references}|case:mixed|eff:no|tok:{}|smooth:exp", self.tokenization.name())
    }

    fn direction(&self) -> Direction {
        Direction::Larger
    }

    fn scale(&self) -> Scale {
        Scale::Points
    }

    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let hypothesis = self.tokenization.words(hypothesis);
        let references: Vec<Vec<String>> = references.iter().map(|text| self.tokenization.words(text)).collect();
        let distance = |length: usize| (length.abs_diff(hypothesis.len()), length);
        let nearest = references.iter().map(Vec::len).min_by_key(|&length| distance(length)).unwrap_or(0);
        let mut statistics = vec![hypothesis.len() as f64, nearest as f64];
        for order in 1..=ORDERS {
            let ngrams = Ngrams::new(&hypothesis, order);
            let references: Vec<_> = references.iter().map(|words| Ngrams::new(words, order)).collect();
            statistics.extend([ngrams.matches_of_any(&references), ngrams.total()].map(|count| count as f64));
        }
        statistics
    }

    fn score(&self, statistics: &[f64]) -> f64 {
        let Some(([length, reference], orders)) = statistics.split_first_chunk() else { return 0.0 };
        let (orders, _) = orders.as_chunks::<2>();
        if orders.iter().all(|[matches, _]| *matches == 0.0) {
            return 0.0;
        }
        let mut smooth = 1.0;
        let mut logarithms = 0.0;
        for &[matches, total] in orders {
            let precision = match (matches, total) {
                // No text is so long: as a precision of 0.
                (_, 0.0) => return 0.0,
                (0.0, _) => {
                    smooth *= 2.0;
                    1.0 / (smooth * total)
                }
                _ => matches / total,
            };
            logarithms += precision.ln();
        }
        let brevity = f64::min(0.0, 1.0 - reference / length);
        100.0 * (brevity + logarithms / orders.len() as f64).exp()
    }
}
