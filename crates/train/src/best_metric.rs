//! Values of `train.best_metric`: which is the better.

use descant_inference::TrainConfig;
use descant_metrics::{Direction, metric};
use descant_models::DpoConfig;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Whether a value of a `train.best_metric` is better than another.
pub(crate) fn is_better(name: &str, value: f64, than: f64) -> bool {
    let larger = match name {
        TrainConfig::LOSS => false,
        TrainConfig::COMMAND => true,
        _ if DpoConfig::MEASURES.contains(&name) => true,
        _ => metric(name, []).is_some_and(|metric| metric.direction() == Direction::Larger),
    };
    if larger { value > than } else { value < than }
}

/// The better of two values of a `train.best_metric` first, and what is no number last.
pub(crate) fn compare_values(name: &str, a: f64, b: f64) -> Ordering {
    match (is_better(name, a, b), is_better(name, b, a)) {
        (true, _) => Ordering::Less,
        (_, true) => Ordering::Greater,
        _ => a.is_nan().cmp(&b.is_nan()),
    }
}

/// The value of a `train.best_metric` among those of a validation.
pub(crate) fn measured(name: &str, loss: f64, metrics: &BTreeMap<String, f64>) -> Option<f64> {
    if name == TrainConfig::LOSS { Some(loss) } else { metrics.get(name).copied() }
}
