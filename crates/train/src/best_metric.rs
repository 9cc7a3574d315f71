//! Values of `train.best_metric` and `train.stop_metrics`: which is the better, and for how long none was.

use descant_inference::{Progress, TrainConfig};
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

/// Takes down what a validation is worth, by its loss and metrics; whether it is the best so far. A metric without a value is neither better nor
/// worse.
pub(crate) fn judge(train: &TrainConfig, progress: &mut Progress, loss: f64, metrics: &BTreeMap<String, f64>) -> bool {
    let better = |name: &str, than: Option<f64>| {
        let value = measured(name, loss, metrics).filter(|value| !value.is_nan())?;
        Some((value, than.is_none_or(|than| is_better(name, value, than))))
    };
    let best = better(&train.best_metric, progress.best.map(|(best, _)| best));
    let is_best = best.is_some_and(|(_, is_better)| is_better);
    if let Some((value, true)) = best {
        progress.best = Some((value, progress.step));
    }
    let (mut has_value, mut improves) = (false, false);
    match &train.stop_metrics[..] {
        [] => (has_value, improves) = (best.is_some(), is_best),
        names => {
            for name in names {
                let Some((value, is_better)) = better(name, progress.best_values.get(name).copied()) else { continue };
                has_value = true;
                if is_better {
                    improves = true;
                    progress.best_values.insert(name.clone(), value);
                }
            }
        }
    }
    if improves {
        progress.stale = 0;
    } else if has_value {
        progress.stale += 1;
    }
    is_best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known after validations with these losses and values of BLEU.
    fn judged(stop_metrics: &[&str], values: &[(f64, f64)]) -> (Vec<bool>, Progress) {
        let mut train = TrainConfig::default();
        train.best_metric = "bleu".to_owned();
        train.stop_metrics = stop_metrics.iter().map(|&name| name.to_owned()).collect();
        let mut progress = Progress::default();
        let best = values.iter().map(|&(loss, bleu)| {
            progress.step += 1;
            judge(&train, &mut progress, loss, &BTreeMap::from([("bleu".to_owned(), bleu)]))
        });
        (best.collect(), progress)
    }

    #[test]
    fn any_of_several_metrics_goes_on_and_the_best_is_that_of_one() {
        let values = [(5.0, 10.0), (4.0, 9.0), (3.0, 8.0), (3.5, 8.5)];
        let (best, alone) = judged(&[], &values);
        assert_eq!((best, alone.best, alone.stale), (vec![true, false, false, false], Some((10.0, 1)), 3));
        assert!(alone.best_values.is_empty());
        let (best, several) = judged(&["loss", "bleu"], &values);
        assert_eq!((best, several.best, several.stale), (vec![true, false, false, false], Some((10.0, 1)), 1));
        assert_eq!(several.best_values, BTreeMap::from([("bleu".to_owned(), 10.0), ("loss".to_owned(), 3.0)]));
        // What best_metric says alone is not asked for.
        let (_, loss) = judged(&["loss"], &[(3.0, 1.0), (4.0, 2.0), (5.0, 3.0)]);
        assert_eq!((loss.best, loss.stale), (Some((3.0, 3)), 2));
        // A validation without a value says nothing.
        let (best, none) = judged(&["bleu"], &[(3.0, 1.0), (3.0, f64::NAN), (3.0, f64::NAN), (3.0, 0.5)]);
        assert_eq!((best, none.stale), (vec![true, false, false, false], 1));
    }
}
