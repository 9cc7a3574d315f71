//! Whether one system is better than another on the same texts, or the difference may be chance.

use crate::metric::{Metric, Pooling, corpus_score};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// Two systems on the same texts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// The value of each.
    pub values: [f64; 2],
    /// Of each, the interval that 95 % of the bootstrap's values lie in; of [`Pooling::Lists`] moved to where their mean is the value, as resamples
    /// have texts twice, and so fewer different elements.
    pub intervals: [[f64; 2]; 2],
    /// How probable so large a difference is where there is none, by paired bootstrap resampling (Koehn 2004).
    pub bootstrap: f64,
    /// The same by paired approximate randomisation (Riezler & Maxwell 2005).
    pub randomisation: f64,
}

/// Compares two systems by a metric, from the statistics of their texts, the same texts in the same order, with so many resamples; p-values are those
/// of sacreBLEU, but that a difference as large as the found one is a larger one too: of a system with itself they are 1.
pub fn compare(metric: &dyn Metric, systems: [&[Vec<f64>]; 2], samples: usize, seed: u64) -> Comparison {
    let values = systems.map(|system| corpus_score(metric, system));
    let difference = (values[0] - values[1]).abs();
    let texts = systems[0].len().min(systems[1].len());
    let mut rng = Pcg64::seed_from_u64(seed);
    let resamples: Vec<[f64; 2]> = (0..samples)
        .map(|_| {
            let drawn: Vec<usize> = (0..texts).map(|_| below(&mut rng, texts)).collect();
            systems.map(|system| corpus_score(metric, drawn.iter().map(|&text| &system[text])))
        })
        .collect();
    let mean = resamples.iter().map(|[a, b]| a - b).sum::<f64>() / samples.max(1) as f64;
    let bootstrap = p_value(resamples.iter().map(|[a, b]| (a - b - mean).abs()), difference);
    let exchanged = (0..samples).map(|_| {
        let mut sides: [Vec<&Vec<f64>>; 2] = [Vec::with_capacity(texts), Vec::with_capacity(texts)];
        for (a, b) in systems[0].iter().zip(systems[1]) {
            let [first, second] = if below(&mut rng, 2) == 0 { [a, b] } else { [b, a] };
            sides[0].push(first);
            sides[1].push(second);
        }
        let [a, b] = sides.map(|side| corpus_score(metric, side));
        (a - b).abs()
    });
    let randomisation = p_value(exchanged, difference);
    let intervals = [0, 1].map(|system| {
        let drawn: Vec<f64> = resamples.iter().map(|values| values[system]).collect();
        let shift = match metric.pooling() {
            Pooling::Sums => 0.0,
            Pooling::Lists => values[system] - drawn.iter().sum::<f64>() / samples.max(1) as f64,
        };
        interval(drawn).map(|bound| bound + shift)
    });
    Comparison { values, intervals, bootstrap, randomisation }
}

/// The share of differences that are as large as the one that was found, which counts among them.
fn p_value(differences: impl Iterator<Item = f64>, found: f64) -> f64 {
    let (mut as_large, mut all) = (1.0, 1.0);
    for difference in differences {
        as_large += f64::from(difference >= found);
        all += 1.0;
    }
    as_large / all
}

/// From the value that 2.5 % are below to the one that 2.5 % are above.
fn interval(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let cut = values.len() / 40;
    [cut, values.len().saturating_sub(cut + 1)].map(|place| values.get(place).copied().unwrap_or(f64::NAN))
}

/// A number below `end`, each as likely: by the upper half of a product, whose bias is below `end` in 2⁶⁴.
fn below(rng: &mut Pcg64, end: usize) -> usize {
    ((u128::from(rng.next_u64()) * end as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bleu, Distinct, ExactMatch, TextUnit};

    #[test]
    fn a_real_difference_is_told_from_chance() {
        let right =
            |share: usize| (0..400).map(|i| vec![f64::from(u8::from(i * 7 % 10 < share)), 1.0]).collect::<Vec<_>>();
        let [good, bad, other] = [right(8), right(6), right(8).into_iter().rev().collect()];
        let found = compare(&ExactMatch, [&good, &bad], 1000, 1);
        assert_eq!(found.values, [0.8, 0.6]);
        assert!(found.bootstrap < 0.01 && found.randomisation < 0.01, "{found:?}");
        // The standard error is √(0.8 · 0.2 / 400) = 0.02.
        let [low, high] = found.intervals[0];
        assert!((low - 0.76).abs() < 0.012 && (high - 0.84).abs() < 0.012, "{found:?}");
        let found = compare(&ExactMatch, [&good, &other], 1000, 1);
        assert!(found.bootstrap > 0.9 && found.randomisation > 0.9, "{found:?}");
        assert_eq!(compare(&ExactMatch, [&good, &good], 100, 1).randomisation, 1.0);
    }

    #[test]
    fn a_value_that_is_no_sum_lies_in_its_interval() {
        let metric = Distinct { order: 1, unit: TextUnit::Words };
        let texts = |rare: usize| -> Vec<Vec<f64>> {
            let text = |i: usize| if i % 10 < rare { format!("the word{i}") } else { format!("the {}", i % 3) };
            (0..300).map(|i| metric.statistics(&text(i), &[], "")).collect()
        };
        let [many, few] = [texts(6), texts(4)];
        let found = compare(&metric, [&many, &few], 300, 1);
        assert_eq!(found.values, [184.0 / 600.0, 124.0 / 600.0]);
        for (value, [low, high]) in found.values.into_iter().zip(found.intervals) {
            assert!(low < value && value < high && high - low < 0.1, "{found:?}");
        }
        assert!(found.bootstrap < 0.01 && found.randomisation < 0.01, "{found:?}");
        assert_eq!(compare(&metric, [&few, &few], 100, 1).randomisation, 1.0);
    }

    #[test]
    fn texts_that_are_none_have_no_difference() {
        let none = compare(&Bleu::default(), [&[], &[]], 10, 1);
        assert_eq!((none.values, none.bootstrap), ([0.0, 0.0], 1.0));
    }
}
