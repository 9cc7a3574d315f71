use super::streak::Worst;
use super::verdict::Verdict;
use crate::gradient_flow::Activations;

/// The share of a layer's units above which too many are dead.
const SHARE: f32 = 0.5;

/// Tokens below which a unit may be zero by chance.
const ROWS: usize = 256;

/// ReLU layers most of whose units are zero for every token: they have no gradient, and stay so.
#[derive(Debug, Default)]
pub(super) struct DeadUnits(Worst);

impl DeadUnits {
    pub(super) fn observe(&mut self, step: u64, activations: &Activations) -> Option<Verdict> {
        let shares =
            activations.iter().filter(|(_, of)| of.rows >= ROWS).filter_map(|(name, of)| Some((name, of.dead?)));
        let (since, name, share, others) = self.0.observe(step, shares, SHARE)?;
        Some(Verdict {
            kind: "dead units",
            since,
            seen: format!("{:.0} % of the units of '{name}'{others} are zero for every token of a batch", 100.0 * share),
            remedy: "a smaller train.learning_rate or a longer schedule.warmup from the start, or model.transformer.activation = \"gelu\"".to_owned(),
        })
    }
}
