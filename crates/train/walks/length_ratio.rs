//! Length ratio: how long predictions are, of their first references' length.

use super::metric::TextMetric;

/// The length ratio.
pub(super) const METRIC: TextMetric = TextMetric {
    name: "length_ratio",
    score: |predictions, unit| {
        let length = |text: &String| unit.tokens(text).len();
        let found: usize = predictions.iter().map(|prediction| length(&prediction.text)).sum();
        let expected: usize =
            predictions.iter().filter_map(|prediction| prediction.references.first()).map(length).sum();
        found as f64 / expected.max(1) as f64
    },
    share_of: |_, _| "the references' length".to_owned(),
};
