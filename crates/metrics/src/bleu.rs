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
    /// Whether only the orders count that the hypotheses are long enough for, as for single sentences; else a text of three words
    /// has no BLEU.
    pub effective_order: bool,
}

/// A text with its n-grams counted, to be compared any number of times.
#[derive(Debug)]
pub struct BleuText {
    length: usize,
    ngrams: Vec<Ngrams<String>>,
}

/// The longest n-gram.
const ORDERS: usize = 4;

impl Bleu {
    /// Counts the n-grams of a text.
    pub fn count(self, text: &str) -> BleuText {
        let words = self.tokenization.words(text);
        BleuText { length: words.len(), ngrams: Ngrams::up_to(ORDERS, &words) }
    }

    /// The [statistics](Metric::statistics) of a text.
    pub fn against(self, hypothesis: &BleuText, references: &[BleuText]) -> Vec<f64> {
        let distance = |length: usize| (length.abs_diff(hypothesis.length), length);
        let lengths = references.iter().map(|reference| reference.length);
        let nearest = lengths.min_by_key(|&length| distance(length)).unwrap_or(0);
        let mut statistics = vec![hypothesis.length as f64, nearest as f64];
        for (order, ngrams) in hypothesis.ngrams.iter().enumerate() {
            let references = references.iter().filter_map(|reference| reference.ngrams.get(order));
            statistics.extend([ngrams.matches(references), ngrams.total()].map(|count| count as f64));
        }
        statistics
    }
}

impl Metric for Bleu {
    fn signature(&self, references: &str) -> String {
        let effective = if self.effective_order { "yes" } else { "no" };
        format!("nrefs:{references}|case:mixed|eff:{effective}|tok:{}|smooth:exp", self.tokenization.name())
    }

    fn direction(&self) -> Direction {
        Direction::Larger
    }

    fn scale(&self) -> Scale {
        Scale::Points
    }

    fn statistics(&self, hypothesis: &str, references: &[&str], _source: &str) -> Vec<f64> {
        let references: Vec<BleuText> = references.iter().map(|text| self.count(text)).collect();
        self.against(&self.count(hypothesis), &references)
    }

    fn score(&self, statistics: &[f64]) -> f64 {
        let Some(([length, reference], orders)) = statistics.split_first_chunk() else { return 0.0 };
        let (orders, _) = orders.as_chunks::<2>();
        let counted: Vec<[f64; 2]> = orders.iter().copied().take_while(|[_, total]| *total > 0.0).collect();
        // An order that no text is long enough for has a precision of 0.
        let is_too_short = counted.len() < orders.len() && !self.effective_order;
        if is_too_short || counted.iter().all(|[matches, _]| *matches == 0.0) {
            return 0.0;
        }
        let (mut smooth, mut logarithms) = (1.0, 0.0);
        for &[matches, total] in &counted {
            let precision = match matches > 0.0 {
                true => matches / total,
                false => {
                    smooth *= 2.0;
                    1.0 / (smooth * total)
                }
            };
            logarithms += precision.ln();
        }
        let brevity = f64::min(0.0, 1.0 - reference / length);
        100.0 * (brevity + logarithms / counted.len() as f64).exp()
    }
}
