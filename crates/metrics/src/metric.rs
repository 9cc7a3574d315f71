use std::fmt::Debug;

/// Which of two values is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The larger one.
    Larger,
    /// The smaller one.
    Smaller,
}

/// What a value of 1 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// All of what is named here: a share, as jiwer has it.
    Share(&'static str),
    /// The whole: a fraction, as rouge-score has it.
    Fraction,
    /// One of a hundred points, as sacreBLEU has it.
    Points,
}

/// What the statistics of a corpus are, from those of its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Their sums, element by element: each text has as many.
    Sums,
    /// One list after the other, where a sum would not do, as of what counts once in a corpus.
    Lists,
}

/// A metric of generated texts, most against references.
pub trait Metric: Debug + Send + Sync {
    /// What its value depends on beside the texts, in the form of sacreBLEU's signatures; `references` is how many each text has, or `var`.
    fn signature(&self, references: &str) -> String;

    /// Which values are better.
    fn direction(&self) -> Direction;

    /// What a value of 1 means.
    fn scale(&self) -> Scale;

    /// How statistics of texts become those of a corpus.
    fn pooling(&self) -> Pooling {
        Pooling::Sums
    }

    /// The sufficient statistics of one text, with its references and what it was generated for.
    fn statistics(&self, hypothesis: &str, references: &[&str], source: &str) -> Vec<f64>;

    /// The value from the statistics of a text or of a corpus.
    fn score(&self, statistics: &[f64]) -> f64;
}

/// The value of a metric over a corpus, from the statistics of its texts.
pub fn corpus_score<'a>(metric: &dyn Metric, statistics: impl IntoIterator<Item = &'a Vec<f64>>) -> f64 {
    metric.score(&pooled(metric, statistics))
}

/// How many references texts have, as signatures say it: a number, or `var` where they differ.
pub fn reference_count(counts: impl IntoIterator<Item = usize>) -> String {
    let mut counts = counts.into_iter();
    let first = counts.next().unwrap_or(1);
    if counts.all(|other| other == first) { first.to_string() } else { "var".to_owned() }
}

/// The statistics of a corpus, from those of its texts; empty for none.
fn pooled<'a>(metric: &dyn Metric, statistics: impl IntoIterator<Item = &'a Vec<f64>>) -> Vec<f64> {
    let mut pooled: Vec<f64> = Vec::new();
    let pooling = metric.pooling();
    for of_text in statistics {
        match pooling {
            Pooling::Lists => pooled.extend(of_text),
            Pooling::Sums => {
                pooled.resize(of_text.len(), 0.0);
                pooled.iter_mut().zip(of_text).for_each(|(sum, value)| *sum += value);
            }
        }
    }
    pooled
}
