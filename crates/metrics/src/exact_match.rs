use crate::metric::{Direction, Metric, Scale};
use crate::whitespace::words;

/// The share of texts that equal a reference, but for white space. The statistics of a text are whether it does, and 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExactMatch;

impl Metric for ExactMatch {
    fn signature(&self, references: &str) -> String {
        format!("nrefs:{references}|case:mixed")
    }

    fn direction(&self) -> Direction {
        Direction::Larger
    }

    fn scale(&self) -> Scale {
        Scale::Share("the texts")
    }

    fn statistics(&self, hypothesis: &str, references: &[&str], _source: &str) -> Vec<f64> {
        let is_right = references.iter().any(|reference| words(reference).eq(words(hypothesis)));
        vec![f64::from(is_right), 1.0]
    }

    fn score(&self, statistics: &[f64]) -> f64 {
        match *statistics {
            [right, texts] if texts > 0.0 => right / texts,
            _ => 0.0,
        }
    }
}
