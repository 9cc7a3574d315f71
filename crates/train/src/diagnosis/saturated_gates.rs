use super::streak::Worst;
use super::verdict::Verdict;
use crate::gradient_flow::Activations;

/// The share of a layer's gates above which too many are saturated. Layers that learn have been seen with up to 82 %, in trainings with a rate
/// that is a little high; those that do not with 97 % and more.
const SHARE: f32 = 0.9;

/// LSTM and GRU layers most of whose gates are at 0 or 1, where next to no gradient passes them.
#[derive(Debug, Default)]
pub(super) struct SaturatedGates(Worst);

impl SaturatedGates {
    pub(super) fn observe(&mut self, step: u64, activations: &Activations) -> Option<Verdict> {
        let shares = activations.iter().filter_map(|(name, of)| Some((name, of.saturated?)));
        let (since, name, share, others) = self.0.observe(step, shares, SHARE)?;
        Some(Verdict {
            kind: "saturated gates",
            since,
            seen: format!("{:.0} % of the gates of '{name}'{others} are within 0.01 of 0 or 1", 100.0 * share),
            remedy: "a smaller train.learning_rate, a tighter train.clip, layer normalisation (model.layer_norm), or weight decay (optimizer.weight_decay)"
                .to_owned(),
        })
    }
}
