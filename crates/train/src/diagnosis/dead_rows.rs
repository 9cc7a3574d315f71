use super::streak::Worst;
use super::verdict::Verdict;
use crate::gradient_flow::Activations;

/// The share of the rows that are read above which too many have no gradient: of a token that was read there is some, unless nothing that
/// is computed of it changes the loss.
const SHARE: f32 = 0.1;

/// Embeddings whose rows have no gradient though their tokens are read: these tokens are not learned.
#[derive(Debug, Default)]
pub(super) struct DeadRows(Worst);

impl DeadRows {
    pub(super) fn observe(&mut self, step: u64, activations: &Activations) -> Option<Verdict> {
        let shares = activations.iter().filter_map(|(name, of)| Some((name, of.dead_rows?)));
        let (since, name, share, others) = self.0.observe(step, shares, SHARE)?;
        Some(Verdict {
            kind: "dead rows of an embedding",
            since,
            seen: format!(
                "{:.0} % of the rows of '{name}'{others} that a batch reads have a gradient of zero: what is computed of these tokens does not change the loss",
                100.0 * share
            ),
            remedy: "a smaller train.learning_rate where gates are saturated, fewer layers (model.layers, model.encoder_layers), or model.attention where sources are long".to_owned(),
        })
    }
}
