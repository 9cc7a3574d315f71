//! How much of texts is copied from their sources.

use crate::metric::{Direction, Metric, Scale};
use crate::unit::TextUnit;
use std::collections::HashSet;

/// The share of all words that stand in the sources of their texts (the ratio of copying tokens; Liu et al. 2021, arXiv 2107.08212).
///
/// The statistics of a text are how many do, and its words.
#[derive(Clone, Copy, Debug)]
pub struct CopyRate {
    /// What is counted.
    pub unit: TextUnit,
}

impl Metric for CopyRate {
    fn signature(&self, _references: &str) -> String {
        format!("case:mixed|tok:{}", self.unit.name())
    }

    fn direction(&self) -> Direction {
        Direction::Smaller
    }

    fn scale(&self) -> Scale {
        self.unit.share()
    }

    fn statistics(&self, hypothesis: &str, _references: &[&str], source: &str) -> Vec<f64> {
        let (words, source): (_, HashSet<&str>) =
            (self.unit.tokens(hypothesis), self.unit.tokens(source).into_iter().collect());
        let copied = words.iter().filter(|word| source.contains(*word)).count();
        vec![copied as f64, words.len() as f64]
    }

    fn score(&self, statistics: &[f64]) -> f64 {
        match *statistics {
            [copied, words] if words > 0.0 => copied / words,
            _ => 0.0,
        }
    }
}
