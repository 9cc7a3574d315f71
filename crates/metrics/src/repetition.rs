//! Repetition within texts: seq-rep-n (Welleck et al. 2020, arXiv 1908.04319).

use crate::metric::{Direction, Metric, Scale};
use crate::ngrams::Ngrams;
use crate::unit::TextUnit;

/// The share of a text's n-grams that stand in it before, the mean over texts; a text without n-grams repeats none.
///
/// The statistics of a text are that share, and 1.
#[derive(Clone, Copy, Debug)]
pub struct Repetition {
    /// The length of an n-gram, 1 or more.
    pub order: usize,
    /// What n-grams are made of.
    pub unit: TextUnit,
}

impl Metric for Repetition {
    fn signature(&self, _references: &str) -> String {
        format!("case:mixed|tok:{}", self.unit.name())
    }

    fn direction(&self) -> Direction {
        Direction::Smaller
    }

    fn scale(&self) -> Scale {
        Scale::Fraction
    }

    fn statistics(&self, hypothesis: &str, _references: &[&str], _source: &str) -> Vec<f64> {
        let ngrams = Ngrams::new(&self.unit.tokens(hypothesis), self.order);
        let repeated = ngrams.total() - ngrams.distinct();
        vec![repeated as f64 / ngrams.total().max(1) as f64, 1.0]
    }

    fn score(&self, statistics: &[f64]) -> f64 {
        match *statistics {
            [sum, texts] if texts > 0.0 => sum / texts,
            _ => 0.0,
        }
    }
}
