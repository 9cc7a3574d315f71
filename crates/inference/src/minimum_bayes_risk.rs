//! Minimum Bayes risk: of some candidates, the ones that are most like all of them.

use crate::Trained;
use descant_generate::{GenerationConfig, MbrMetric, Mode, Reranker};
use descant_kernels::Parallelism;
use descant_metrics::{Bleu, BleuText, Chrf, ChrfText, Metric, Tokenization};
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

/// BLEU of single sentences, of words between white space.
const BLEU: Bleu = Bleu { tokenization: Tokenization::None, effective_order: true };
const CHRF: Chrf = Chrf { word_order: 0 };

/// A text as a metric compares it.
#[derive(Debug)]
enum Profile {
    Chrf(ChrfText),
    /// One text, which is a reference too.
    Bleu([BleuText; 1]),
    Whole(String),
}

impl Profile {
    fn new(metric: MbrMetric, text: &str) -> Self {
        match metric {
            MbrMetric::Chrf => Self::Chrf(CHRF.count(text)),
            MbrMetric::Bleu => Self::Bleu([BLEU.count(text)]),
            MbrMetric::Exact => Self::Whole(text.trim().to_owned()),
        }
    }

    /// How like a reference it is, by the same metric: from 0 to 1.
    fn likeness(&self, reference: &Self) -> f64 {
        match (self, reference) {
            (Self::Chrf(text), Self::Chrf(reference)) => CHRF.score(&CHRF.against(text, reference)) / 100.0,
            (Self::Bleu([text]), Self::Bleu(reference)) => BLEU.score(&BLEU.against(text, reference)) / 100.0,
            (Self::Whole(text), Self::Whole(reference)) => f64::from(text == reference),
            _ => 0.0,
        }
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

    #[test]
    fn likenesses_are_those_of_sacrebleu() {
        // CHRF().sentence_score and BLEU(effective_order=True, tokenize="none").sentence_score, over 100.
        for (text, reference, of_characters, of_words) in CASES {
            let of = |metric| Profile::new(metric, text).likeness(&Profile::new(metric, reference));
            let told = format!("{text:?}, {reference:?}: {} {}", of(MbrMetric::Chrf), of(MbrMetric::Bleu));
            assert!((of(MbrMetric::Chrf) - of_characters).abs() < 1e-6, "{told}");
            assert!((of(MbrMetric::Bleu) - of_words).abs() < 1e-6, "{told}");
            assert_eq!(of(MbrMetric::Exact), f64::from(text == reference), "{told}");
        }
    }

    const CASES: [(&str, &str, f64, f64); 7] = [
        ("the cat sat on the mat", "the cat sat on the mat", 1.00000000, 1.00000000),
        ("the cat sat", "the cat sat on the mat", 0.49593484, 0.36787944),
        ("a dog ran in the park today", "the dog ran through the park", 0.41685810, 0.18575058),
        ("xyz", "abc", 0.00000000, 0.00000000),
        ("他昨天在北京", "他今天在北京", 0.37777778, 0.00000000),
        ("a b c d e f g", "g f e d c b a", 0.16666667, 0.10682175),
        ("the the the the", "the cat", 0.17868922, 0.15973578),
    ];

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
