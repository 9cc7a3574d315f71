//! Minimum Bayes risk: of some candidates, the ones that are most like all of them.

use crate::Trained;
use crate::sentence_metrics::Profile;
use descant_generate::{GenerationConfig, Mode, Reranker};
use descant_kernels::Parallelism;
use rayon::prelude::*;
use std::sync::Arc;

impl Trained {
    /// Ranks candidates by their expected likeness, where these options ask for it. Samples count alike: the more likely come more
    /// often. Hypotheses of a beam search count by their probability (Kumar and Byrne 2004).
    pub(crate) fn minimum_bayes_risk(&self, config: &GenerationConfig, parallelism: Parallelism) -> Option<Reranker> {
        config.mbr_candidates?;
        let (metric, are_samples) = (config.mbr_metric.unwrap_or_default(), config.mode() == Mode::Sampling);
        let tokenizer = self.tokenizers.target.clone();
        Some(Reranker(Arc::new(move |candidates| {
            let profile =
                |(tokens, _): &(&[u32], f64)| Profile::new(metric, &tokenizer.decode(tokens).unwrap_or_default());
            let profiles: Vec<Profile> = candidates.iter().map(profile).collect();
            let largest = candidates.iter().map(|one| one.1).fold(f64::NEG_INFINITY, f64::max);
            let weight = |(_, log): &(&[u32], f64)| if are_samples { 1.0 } else { (log - largest).exp() };
            let weights: Vec<f64> = candidates.iter().map(weight).collect();
            expected_likeness(&profiles, &weights, parallelism)
        })))
    }
}

/// How like each text is to all of them, in the weighted mean: the same bits on any number of threads, as each has a sum of its own.
fn expected_likeness(texts: &[Profile], weights: &[f64], parallelism: Parallelism) -> Vec<f64> {
    let all = weights.iter().sum::<f64>();
    let expected = |text: &Profile| {
        let likeness = |(other, weight): (&Profile, &f64)| weight * text.likeness(other);
        texts.iter().zip(weights).map(likeness).sum::<f64>() / all
    };
    match parallelism {
        Parallelism::Threads(2..) => texts.par_iter().map(expected).collect(),
        _ => texts.iter().map(expected).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_generate::MbrMetric;

    #[test]
    fn it_is_the_same_on_any_number_of_threads() {
        let texts: Vec<Profile> =
            (0..40_u32).map(|i| Profile::new(MbrMetric::Chrf, &format!("{} and {}", i % 7 * 1111, i * i))).collect();
        let weights: Vec<f64> = (0..40).map(|i| (f64::from(i) * -0.1).exp()).collect();
        let alone = expected_likeness(&texts, &weights, Parallelism::Serial);
        let all = weights.iter().sum::<f64>();
        let of = |i: usize| (0..40).map(|j| weights[j] * texts[i].likeness(&texts[j])).sum::<f64>() / all;
        assert_eq!(alone, (0..40).map(of).collect::<Vec<_>>());
        assert!(alone.windows(2).any(|pair| pair[0] != pair[1]));
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let shared = pool.install(|| expected_likeness(&texts, &weights, Parallelism::Threads(threads)));
            assert_eq!(shared, alone, "{threads} threads");
        }
    }
}
