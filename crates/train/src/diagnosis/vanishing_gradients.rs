use super::layers::{layer, stacks};
use super::streak::Streak;
use super::verdict::{Verdict, brief};
use crate::gradient_flow::GradientFlow;
use std::collections::BTreeMap;

/// A layer's gradient beside that of the stack's top layer, below which it no longer learns at the pace of the others: healthy stacks are
/// within a factor of 30.
const RATIO: f64 = 1e-3;

/// Lines in a row.
const TIMES: u32 = 3;

/// Gradients that become smaller from the top layer down, until the first layers have next to none.
#[derive(Debug, Default)]
pub(super) struct VanishingGradients(BTreeMap<String, Streak>);

impl VanishingGradients {
    pub(super) fn observe(&mut self, step: u64, flow: &GradientFlow) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for (stack, layers) in stacks(flow) {
            let (Some(&top), Some(worst)) =
                (layers.last(), (0..layers.len()).min_by(|&a, &b| layers[a].total_cmp(&layers[b])))
            else {
                continue;
            };
            // A layer without any gradient was skipped, or is another fault.
            let is_seen = layers[worst] > 0.0 && layers[worst] < RATIO * top;
            if let Some(since) = self.0.entry(stack.clone()).or_default().observe(step, is_seen, TIMES) {
                let count = layers.iter().filter(|&&layer| layer < RATIO * top).count();
                verdicts.push(Verdict {
                    kind: "vanishing gradients",
                    since,
                    seen: format!(
                        "{}: its gradient has {} of the root mean square of the top layer's ({count} of {} layers below {RATIO})",
                        layer(&stack, worst),
                        brief(layers[worst] / top),
                        layers.len(),
                    ),
                    remedy: "fewer layers (model.layers, model.encoder_layers), or pre-norm ones (model.transformer.norm_first)".to_owned(),
                });
            }
        }
        verdicts
    }
}
