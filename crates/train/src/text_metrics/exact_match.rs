//! Exact match: the share of predictions that equal a reference.

use super::metric::TextMetric;

/// Exact match.
pub(super) const METRIC: TextMetric = TextMetric {
    name: "exact_match",
    score: |predictions, unit| {
        let right = predictions.iter().filter(|prediction| prediction.is_right(unit)).count();
        right as f64 / predictions.len().max(1) as f64
    },
    share_of: |predictions, _| predictions.to_string(),
};
