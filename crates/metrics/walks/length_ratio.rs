use crate::metric::{Direction, Metric, Scale};
use crate::whitespace::words;

/// How many words texts have, by those of their first references. The statistics of a text are both numbers.
#[derive(Clone, Copy, Debug)]
pub struct LengthRatio;

impl Metric for LengthRatio {
    fn signature(&self, references: &str) -> String {
        format!("nrefs:{references}")
    }

    fn direction(&self) -> Direction {
        Direction::Larger
    }

    fn scale(&self) -> Scale {
        Scale::Share("the references' words")
    }

    fn statistics(&self, hypothesis: &str, references: &[&str], _source: &str) -> Vec<f64> {
        let reference = references.first().copied().unwrap_or_default();
        [hypothesis, reference].map(|text| words(text).count() as f64).to_vec()
    }

    fn score(&self, statistics: &[f64]) -> f64 {
        match *statistics {
            [found, expected] if expected > 0.0 => found / expected,
            _ => 0.0,
        }
    }
}
