//! Distinct-n (Li et al. 2016, arXiv 1510.03055).

use crate::metric::{Direction, Metric, Pooling, Scale};
use crate::unit::TextUnit;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many different n-grams there are among all of the whole output: a measure of diversity, which knows nothing of references and falls with
/// the size of an output.
///
/// The statistics of a text are its n-grams, as hashes.
#[derive(Clone, Copy, Debug)]
pub struct Distinct {
    /// The length of an n-gram, 1 or more.
    pub order: usize,
    /// What n-grams are made of.
    pub unit: TextUnit,
}

impl Metric for Distinct {
    fn signature(&self, _references: &str) -> String {
        format!("case:mixed|tok:{}", self.unit.name())
    }

    fn direction(&self) -> Direction {
        Direction::Larger
    }

    fn scale(&self) -> Scale {
        Scale::Fraction
    }

    fn pooling(&self) -> Pooling {
        Pooling::Lists
    }

    fn statistics(&self, hypothesis: &str, _references: &[&str], _source: &str) -> Vec<f64> {
        self.unit.tokens(hypothesis).windows(self.order).map(number).collect()
    }

    fn score(&self, statistics: &[f64]) -> f64 {
        let mut distinct = statistics.to_vec();
        distinct.sort_unstable_by(f64::total_cmp);
        distinct.dedup();
        distinct.len() as f64 / statistics.len().max(1) as f64
    }
}

/// The number of an n-gram: 53 bits, as many as are exact.
fn number(ngram: &[&str]) -> f64 {
    let mut hasher = DefaultHasher::new();
    ngram.hash(&mut hasher);
    (hasher.finish() >> 11) as f64
}
