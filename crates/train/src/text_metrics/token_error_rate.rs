//! Token error rate: word, character or phoneme error rate against the nearest reference.

use super::metric::TextMetric;
use super::prediction::Prediction;
use super::unit::TextUnit;

/// Token error rate: insertions, deletions and substitutions by the tokens of the nearest reference.
pub(super) const METRIC: TextMetric = TextMetric {
    name: "token_error_rate",
    score,
    share_of: |_, unit| match unit {
        TextUnit::Words => "the words".to_owned(),
        TextUnit::Characters => "the characters".to_owned(),
    },
};

fn score(predictions: &[Prediction], unit: TextUnit) -> f64 {
    let (mut edits, mut tokens) = (0, 0);
    for prediction in predictions {
        let text = unit.tokens(&prediction.text);
        let distance = |reference: &String| {
            let reference = unit.tokens(reference);
            (strsim::generic_levenshtein(&text, &reference), reference.len())
        };
        let nearest = prediction.references.iter().map(distance);
        let nearest = nearest.min_by(|(a, m), (b, n)| (a * n.max(&1)).cmp(&(b * m.max(&1))));
        let (distance, length) = nearest.unwrap_or((0, 0));
        edits += distance;
        tokens += length;
    }
    edits as f64 / tokens.max(1) as f64
}
