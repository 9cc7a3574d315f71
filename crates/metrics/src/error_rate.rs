//! Word and character error rate, in the numbers of jiwer.

use crate::metric::{Direction, Metric, Scale};
use crate::unit::TextUnit;
use crate::whitespace::words;

/// Insertions, deletions and substitutions by the length of the reference, of several that to which there are fewest by its length.
///
/// The statistics of a text are its edits and that length.
#[derive(Clone, Copy, Debug)]
pub struct ErrorRate {
    /// What is counted: words for WER, characters with one space between words for CER.
    pub unit: TextUnit,
}

impl ErrorRate {
    fn edits(self, hypothesis: &str, reference: &str) -> [usize; 2] {
        match self.unit {
            TextUnit::Words => {
                let (hypothesis, reference): (Vec<_>, Vec<_>) =
                    (words(hypothesis).collect(), words(reference).collect());
                [strsim::generic_levenshtein(&hypothesis, &reference), reference.len()]
            }
            TextUnit::Characters => {
                let characters = |text: &str| words(text).collect::<Vec<_>>().join(" ").chars().collect::<Vec<char>>();
                let (hypothesis, reference) = (characters(hypothesis), characters(reference));
                [strsim::generic_levenshtein(&hypothesis, &reference), reference.len()]
            }
        }
    }
}

impl Metric for ErrorRate {
    fn signature(&self, references: &str) -> String {
        format!("nrefs:{references}|case:mixed")
    }

    fn direction(&self) -> Direction {
        Direction::Smaller
    }

    fn scale(&self) -> Scale {
        self.unit.share()
    }

    fn statistics(&self, hypothesis: &str, references: &[&str], _source: &str) -> Vec<f64> {
        let edits = references.iter().map(|reference| self.edits(hypothesis, reference));
        let [edits, length] = edits.min_by(|[a, m], [b, n]| (a * n.max(&1)).cmp(&(b * m.max(&1)))).unwrap_or([0, 0]);
        vec![edits as f64, length as f64]
    }

    fn score(&self, statistics: &[f64]) -> f64 {
        match *statistics {
            [edits, length] if length > 0.0 => edits / length,
            [edits, _] if edits > 0.0 => 1.0,
            _ => 0.0,
        }
    }
}
