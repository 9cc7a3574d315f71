//! Metrics of generated texts: those of `descant-metrics` by their names.

mod command;
mod prediction;

pub use command::MetricCommand;
pub use prediction::Prediction;
pub(crate) use prediction::{EvalExample, examples};

use descant_inference::TrainConfig;
use descant_metrics::{Scale, TextUnit, corpus_score, metric, reference_count, unfit};
use rayon::prelude::*;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

/// The metrics of a set of predictions.
#[derive(Clone, Debug, PartialEq)]
pub struct TextScores {
    /// How many predictions.
    pub predictions: usize,
    /// In the order in which they were asked for.
    pub scores: Vec<TextScore>,
    /// The tokens of `token_error_rate`.
    pub unit: TextUnit,
    /// How many predictions the length limit cut.
    pub unfinished: usize,
    /// How many have an error in place of a text.
    pub unanswered: usize,
}

/// The value of a metric.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TextScore {
    /// The metric's name.
    pub name: String,
    /// Its value, in its own scale.
    pub value: f64,
    /// What a value of 1 means.
    pub scale: Scale,
    /// What it depends on beside the texts.
    pub signature: String,
}

impl TextScores {
    /// The metrics that are reported by default.
    pub const DEFAULT: &[&str] = &["exact_match", "token_error_rate", "bleu", "chrf++"];

    /// Scores predictions by the metrics of these [names](descant_metrics::NAMES), each once; a name that is none is left out.
    pub fn of(predictions: &[Prediction], names: &[impl AsRef<str>]) -> Self {
        let references = predictions.iter().flat_map(|prediction| prediction.references.iter().map(String::as_str));
        let count = reference_count(predictions.iter().map(|prediction| prediction.references.len()));
        let score = |name: &str| {
            let metric = metric(name, references.clone())?;
            let of_text = |prediction: &Prediction| {
                let references: Vec<&str> = prediction.references.iter().map(String::as_str).collect();
                metric.statistics(&prediction.text, &references, &prediction.source)
            };
            let statistics: Vec<Vec<f64>> = predictions.par_iter().map(of_text).collect();
            Some(TextScore {
                name: name.to_owned(),
                value: corpus_score(metric.as_ref(), &statistics),
                scale: metric.scale(),
                signature: metric.signature(&count),
            })
        };
        let mut seen = BTreeSet::new();
        let names = names.iter().map(AsRef::<str>::as_ref).filter(|&name| seen.insert(name));
        Self {
            predictions: predictions.len(),
            scores: names.filter_map(score).collect(),
            unit: TextUnit::of(references.clone()),
            unfinished: predictions.iter().filter(|one| !one.finished && one.error.is_none()).count(),
            unanswered: predictions.iter().filter(|one| one.error.is_some()).count(),
        }
    }

    /// Adds what a program measures of the same predictions.
    ///
    /// # Errors
    /// As [`MetricCommand::measure`].
    pub fn measure(
        &mut self,
        command: &MetricCommand,
        predictions: &[Prediction],
        stop: &AtomicBool,
    ) -> Result<(), String> {
        let (name, signature) = (TrainConfig::COMMAND.to_owned(), command.program().display().to_string());
        let value = command.measure(predictions, stop)?;
        self.scores.push(TextScore { name, value, scale: Scale::Points, signature });
        Ok(())
    }

    /// Why one of these metrics cannot be measured by the references of these predictions, if so.
    pub fn unfit<'a>(
        predictions: impl IntoIterator<Item = &'a Prediction> + Clone,
        names: &[impl AsRef<str>],
    ) -> Option<String> {
        let references = || predictions.clone().into_iter().flat_map(|one| one.references.iter().map(String::as_str));
        names.iter().find_map(|name| unfit(name.as_ref(), references()))
    }

    /// The value of the metric of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.scores.iter().find(|score| score.name == name).map(|score| score.value)
    }

    /// A line for each metric: its name, its value, and what that is a share of, or what it depends on.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.scores.iter().map(|TextScore { name, value, scale, signature }| {
            let (name, value) = (name.replace('_', " "), shown(*value, *scale));
            match scale {
                Scale::Share("the texts") => format!("{name:<18}{value} of {}", self.predictions),
                Scale::Share(of) => format!("{name:<18}{value} of {of}"),
                Scale::Fraction | Scale::Points => format!("{name:<18}{value} ({signature})"),
            }
        })
    }
}

/// The value of a metric as people read it: `26.10`, or `26.10 %` of a share or a fraction.
pub fn shown_value(name: &str, value: f64) -> String {
    shown(value, metric(name, []).map_or(Scale::Points, |metric| metric.scale()))
}

fn shown(value: f64, scale: Scale) -> String {
    match scale {
        Scale::Points => format!("{value:.2}"),
        Scale::Share(_) | Scale::Fraction => format!("{:.2} %", 100.0 * value),
    }
}

impl Serialize for TextScores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("answers", &self.predictions)?;
        for score in &self.scores {
            map.serialize_entry(&score.name, &score.value)?;
        }
        map.serialize_entry("token_error_unit", self.unit.name())?;
        map.serialize_entry("unfinished", &self.unfinished)?;
        map.serialize_entry("unanswered", &self.unanswered)?;
        let signatures: BTreeMap<&str, &str> =
            self.scores.iter().map(|score| (score.name.as_str(), score.signature.as_str())).collect();
        map.serialize_entry("signatures", &signatures)?;
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

    fn of(predictions: &[Prediction]) -> TextScores {
        TextScores::of(predictions, TextScores::DEFAULT)
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
        let score = of(&predictions);
        assert_eq!((score.predictions, exact_match(&score), score.unit), (3, 1.0 / 3.0, TextUnit::Words));
        assert_eq!(error_rate(&score), 2.0 / 7.0);
        assert_eq!((of(&[]).predictions, exact_match(&of(&[])), error_rate(&of(&[]))), (0, 0.0, 0.0));
    }

    #[test]
    fn one_unit_holds_for_all_predictions() {
        // One of four phonemes is wrong, whatever its characters are.
        let phonemes = [prediction("OW", &["UH"]), prediction("S IH", &["S IH"]), prediction("T", &["T"])];
        let score = of(&phonemes);
        assert_eq!((error_rate(&score), score.unit), (1.0 / 4.0, TextUnit::Words));
        let score = of(&[prediction("UH N", &["UH"]), prediction("S IH", &["S IH"])]);
        assert_eq!(error_rate(&score), 1.0 / 3.0);
        // A name with a space does not make words of a text that has none.
        let chinese = "他昨天在北京的书店里买了三本新书";
        let score = of(&[prediction(chinese, &[chinese]), prediction("我看 New York", &["我在 New York"])]);
        assert_eq!((score.unit, error_rate(&score)), (TextUnit::Characters, 1.0 / 27.0));
        let score = of(&[prediction("我 昨天 看", &["我 昨天 看 书"]), prediction("天气", &["天气 很 好"])]);
        assert_eq!((score.unit, error_rate(&score)), (TextUnit::Words, 3.0 / 7.0));
        assert_eq!(of(&[prediction("yes", &["no"])]).unit, TextUnit::Characters);
    }

    #[test]
    fn what_is_right_has_no_errors() {
        for (written, reference) in
            [("B AE", "B AE "), ("B AE", " B  AE"), ("B AE", "B\u{a0}AE"), ("B AE", "B\u{3000}AE"), ("一", "一 ")]
        {
            let score = of(&[prediction(written, &[reference]), prediction("x y", &["x y"])]);
            assert_eq!((exact_match(&score), error_rate(&score)), (1.0, 0.0), "{reference:?}");
        }
        let unfinished = Prediction { finished: false, ..prediction("a", &["a b"]) };
        assert_eq!(of(&[unfinished, prediction("a", &["a"])]).unfinished, 1);
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
