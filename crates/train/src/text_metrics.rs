//! Metrics of generated texts: one file and one word in [`TEXT_METRICS`] each.

mod exact_match;
mod metric;
mod prediction;
mod token_error_rate;
mod unit;
#[cfg(test)]
mod walks;

pub use metric::TextMetric;
pub use prediction::Prediction;
pub(crate) use prediction::{EvalExample, examples};
pub use unit::TextUnit;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// All metrics, in the order of reports.
pub const TEXT_METRICS: &[TextMetric] = &[exact_match::METRIC, token_error_rate::METRIC];

/// The metrics of a set of predictions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextScores {
    /// How many predictions.
    pub predictions: usize,
    /// The value of each of [`TEXT_METRICS`].
    pub values: [f64; TEXT_METRICS.len()],
    /// The tokens that all texts are compared in.
    pub unit: TextUnit,
    /// How many predictions the length limit cut.
    pub unfinished: usize,
    /// How many have an error in place of a text.
    pub unanswered: usize,
}

impl TextScores {
    /// Scores predictions by every metric.
    pub fn of(predictions: &[Prediction]) -> Self {
        let unit = TextUnit::of(predictions.iter().flat_map(|prediction| &prediction.references));
        Self {
            predictions: predictions.len(),
            values: std::array::from_fn(|i| (TEXT_METRICS[i].score)(predictions, unit)),
            unit,
            unfinished: predictions.iter().filter(|one| !one.finished && one.error.is_none()).count(),
            unanswered: predictions.iter().filter(|one| one.error.is_some()).count(),
        }
    }

    /// The value of the metric of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        TEXT_METRICS.iter().zip(self.values).find(|(metric, _)| metric.name == name).map(|(_, value)| value)
    }

    /// A line for each metric: its name, its percentage, and what that is a share of.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        TEXT_METRICS.iter().zip(self.values).map(|(metric, value)| {
            let share_of = (metric.share_of)(self.predictions, self.unit);
            format!("{:<18}{:.2} % of {share_of}", metric.name.replace('_', " "), 100.0 * value)
        })
    }
}

impl Serialize for TextScores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("answers", &self.predictions)?;
        for (metric, value) in TEXT_METRICS.iter().zip(self.values) {
            map.serialize_entry(metric.name, &value)?;
        }
        map.serialize_entry("token_error_unit", &self.unit)?;
        map.serialize_entry("unfinished", &self.unfinished)?;
        map.serialize_entry("unanswered", &self.unanswered)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(text: &str, references: &[&str]) -> Prediction {
        let references = references.iter().map(|&reference| reference.to_owned()).collect();
        Prediction { text: text.to_owned(), finished: true, references, ..Prediction::default() }
    }

    fn exact_match(scores: &TextScores) -> f64 {
        scores.get("exact_match").unwrap()
    }

    fn error_rate(scores: &TextScores) -> f64 {
        scores.get("token_error_rate").unwrap()
    }

    #[test]
    fn the_nearest_reference_counts() {
        let predictions =
            [prediction("a b c", &["a b d", "a b c x"]), prediction("y z", &["z"]), prediction("x y", &["x y"])];
        let score = TextScores::of(&predictions);
        assert_eq!((score.predictions, exact_match(&score), score.unit), (3, 1.0 / 3.0, TextUnit::Words));
        assert_eq!(error_rate(&score), 2.0 / 7.0);
        assert_eq!(TextScores::of(&[]), TextScores::default());
    }

    #[test]
    fn one_unit_holds_for_all_predictions() {
        // One of four phonemes is wrong, whatever its characters are.
        let phonemes = [prediction("OW", &["UH"]), prediction("S IH", &["S IH"]), prediction("T", &["T"])];
        let score = TextScores::of(&phonemes);
        assert_eq!((error_rate(&score), score.unit), (1.0 / 4.0, TextUnit::Words));
        let score = TextScores::of(&[prediction("UH N", &["UH"]), prediction("S IH", &["S IH"])]);
        assert_eq!(error_rate(&score), 1.0 / 3.0);
        // A name with a space does not make words of a text that has none.
        let chinese = "他昨天在北京的书店里买了三本新书";
        let score = TextScores::of(&[prediction(chinese, &[chinese]), prediction("我看 New York", &["我在 New York"])]);
        assert_eq!((score.unit, error_rate(&score)), (TextUnit::Characters, 1.0 / 27.0));
        let score =
            TextScores::of(&[prediction("我 昨天 看", &["我 昨天 看 书"]), prediction("天气", &["天气 很 好"])]);
        assert_eq!((score.unit, error_rate(&score)), (TextUnit::Words, 3.0 / 7.0));
        assert_eq!(TextScores::of(&[prediction("yes", &["no"])]).unit, TextUnit::Characters);
    }

    #[test]
    fn what_is_right_has_no_errors() {
        for (written, reference) in
            [("B AE", "B AE "), ("B AE", " B  AE"), ("B AE", "B\u{a0}AE"), ("B AE", "B\u{3000}AE"), ("一", "一 ")]
        {
            let score = TextScores::of(&[prediction(written, &[reference]), prediction("x y", &["x y"])]);
            assert_eq!((exact_match(&score), error_rate(&score)), (1.0, 0.0), "{reference:?}");
        }
        let unfinished = Prediction { finished: false, ..prediction("a", &["a b"]) };
        assert_eq!(TextScores::of(&[unfinished, prediction("a", &["a"])]).unfinished, 1);
    }

    #[test]
    fn pairs_with_one_source_are_one_example() {
        let pair = |(line, source, reference): (u64, &str, &str)| EvalExample {
            prediction: Prediction { line, source: source.to_owned(), ..prediction("", &[reference]) },
            request: Vec::new().into(),
        };
        let pairs = || [(1, "a", "1"), (2, "b", "2"), (3, "a", "3")].map(pair);
        assert_eq!(examples(pairs(), false).len(), 3);
        let merged = examples(pairs(), true);
        assert_eq!(
            (merged[0].prediction.line, &merged[0].prediction.references[..]),
            (1, &["1".to_owned(), "3".to_owned()][..])
        );
        assert_eq!(merged.len(), 2);
    }
}
