use std::fmt::Debug;

/// Which of two values is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The larger one.
    Larger,
    /// The smaller one.
    Smaller,
}

/// A metric of generated texts against references.
pub trait Metric: Debug + Send + Sync {
    /// Its name in recipes, reports and JSON, such as `bleu`.
    fn name(&self) -> String;

    /// What its value depends on beside the texts, in the form of sacreBLEU's signatures where it has one.
    fn signature(&self, references: usize) -> String;

    /// Which values are better.
    fn direction(&self) -> Direction;

    /// The sufficient statistics of one text, always as many: those of a corpus are their sums.
    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64>;

    /// The value, in percent, from the statistics of a text or from their sums over a corpus.
    fn score(&self, statistics: &[f64]) -> f64;
}

/// The value of a metric over a corpus, from the statistics of its texts.
pub fn corpus_score<'a>(metric: &dyn Metric, statistics: impl IntoIterator<Item = &'a Vec<f64>>) -> f64 {
    metric.score(&sums(statistics))
}

/// The sums of some statistics, element by element; empty for none.
pub(crate) fn sums<'a>(statistics: impl IntoIterator<Item = &'a Vec<f64>>) -> Vec<f64> {
    let mut sums: Vec<f64> = Vec::new();
    for of_text in statistics {
        sums.resize(of_text.len(), 0.0);
        sums.iter_mut().zip(of_text).for_each(|(sum, value)| *sum += value);
    }
    sums
}
