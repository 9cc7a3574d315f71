//! Minimum Bayes risk: of some candidates, the ones that are most like all of them.

use crate::Trained;
use crate::sentence_metrics::Profile;
use descant_generate::{GenerationConfig, Mode, Reranker};
use std::sync::Arc;

impl Trained {
    /// Ranks candidates by their expected likeness, where these options ask for it. Samples count alike: the more likely come more
    /// often. Hypotheses of a beam search count by their probability (Kumar and Byrne 2004).
    pub(crate) fn minimum_bayes_risk(&self, config: &GenerationConfig) -> Option<Reranker> {
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
            let all = weights.iter().sum::<f64>();
            let expected = |text: &Profile| {
                let likeness = |(other, weight): (&Profile, &f64)| weight * text.likeness(other);
                profiles.iter().zip(&weights).map(likeness).sum::<f64>() / all
            };
            profiles.iter().map(expected).collect()
        })))
    }
}
