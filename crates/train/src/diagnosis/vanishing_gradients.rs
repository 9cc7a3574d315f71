use super::layers::stacks;
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
        for stack in stacks(flow) {
            let ratios: Vec<f64> = stack.ratios().collect();
            // A layer without any gradient was skipped, or is another fault.
            let least = (0..ratios.len()).filter(|&i| ratios[i] > 0.0).min_by(|&a, &b| ratios[a].total_cmp(&ratios[b]));
            let seen = least.filter(|&least| ratios[least] < RATIO);
            let since = self.0.entry(stack.name().to_owned()).or_default().observe(step, seen.is_some(), TIMES);
            if let Some((least, since)) = seen.zip(since) {
                let count = ratios.iter().filter(|&&ratio| ratio < RATIO).count();
                verdicts.push(Verdict {
                    kind: "vanishing gradients",
                    since,
                    seen: format!(
                        "{}: its gradient has {} of the root mean square of the top layer's ({count} of {} layers below {RATIO})",
                        stack.layer(least),
                        brief(ratios[least]),
                        ratios.len(),
                    ),
                    remedy: match stack.is_recurrent() {
                        true => "residual connections (model.residual), layer normalisation (model.layer_norm), or fewer layers (model.layers, model.encoder_layers)",
                        false => "fewer layers (model.layers, model.encoder_layers), or pre-norm ones (model.transformer.norm_first)",
                    }
                    .to_owned(),
                });
            }
        }
        verdicts
    }
}
