//! The whole example that CONTRIBUTING.md names.

#[path = "../../walks/length_ratio.rs"]
mod length_ratio;

use super::metric;
use super::{Prediction, TextUnit};

#[test]
fn a_walks_metric_has_its_value() {
    let one = |text: &str, reference: &str| Prediction {
        text: text.to_owned(),
        references: vec![reference.to_owned()],
        ..Prediction::default()
    };
    let predictions = [one("a b c", "a b"), one("", "c d")];
    assert_eq!((length_ratio::METRIC.score)(&predictions, TextUnit::Words), 0.75);
    assert_eq!((length_ratio::METRIC.score)(&[], TextUnit::Words), 0.0);
    assert_eq!((length_ratio::METRIC.share_of)(2, TextUnit::Words), "the references' length");
}
