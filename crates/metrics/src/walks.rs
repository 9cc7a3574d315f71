//! The whole example that CONTRIBUTING.md names.

#[path = "../walks/length_ratio.rs"]
mod length_ratio;

use crate::metric::{Metric, corpus_score};
use length_ratio::LengthRatio;

#[test]
fn a_walks_metric_has_its_value() {
    let statistics =
        [("a b c", "a b"), ("", "c d")].map(|(text, reference)| LengthRatio.statistics(text, &[reference], ""));
    assert_eq!(corpus_score(&LengthRatio, &statistics), 0.75);
    assert_eq!(corpus_score(&LengthRatio, &Vec::new()), 0.0);
}
