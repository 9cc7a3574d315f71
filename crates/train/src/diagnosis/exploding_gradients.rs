use super::layers::stacks;
use super::streak::Streak;
use super::verdict::{Verdict, brief};
use crate::gradient_flow::GradientFlow;
use std::collections::{BTreeMap, VecDeque};

/// A layer's gradient beside that of the stack's top layer.
const RATIO: f64 = 1e3;

/// The norm of the gradient beside its median in the lines before.
const RISE: f64 = 100.0;

/// Lines that the median is of.
const WINDOW: usize = 100;

/// Lines before which there is no median.
const BEFORE: usize = 5;

/// Lines in a row.
const TIMES: u32 = 3;

/// Gradients that become larger from the top layer down, or from step to step.
#[derive(Debug, Default)]
pub(super) struct ExplodingGradients {
    stacks: BTreeMap<String, Streak>,
    norms: VecDeque<f64>,
    rise: Streak,
}

impl ExplodingGradients {
    /// By the norm of the whole gradient.
    pub(super) fn norm(&mut self, step: u64, norm: f64) -> Option<Verdict> {
        let mut sorted: Vec<f64> = self.norms.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().filter(|_| sorted.len() >= BEFORE);
        let is_seen = median.is_some_and(|median| norm > RISE * median);
        let since = self.rise.observe(step, is_seen, TIMES);
        if !is_seen {
            self.norms.push_back(norm);
            if self.norms.len() > WINDOW {
                self.norms.pop_front();
            }
        }
        let median = median?;
        Some(Verdict {
            kind: "exploding gradients",
            since: since?,
            seen: format!(
                "their norm is {}, {} times its median before, {}",
                brief(norm),
                brief(norm / median),
                brief(median)
            ),
            remedy: "clipping (train.clip = { norm = 1.0 }), or a smaller train.learning_rate".to_owned(),
        })
    }

    /// By those of the layers.
    pub(super) fn flow(&mut self, step: u64, flow: &GradientFlow) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for stack in stacks(flow) {
            let ratios: Vec<f64> = stack.ratios().collect();
            let most = (0..ratios.len()).max_by(|&a, &b| ratios[a].total_cmp(&ratios[b]));
            let seen = most.filter(|&most| ratios[most] > RATIO);
            let since = self.stacks.entry(stack.name().to_owned()).or_default().observe(step, seen.is_some(), TIMES);
            verdicts.extend(seen.zip(since).map(|(most, since)| Verdict {
                kind: "exploding gradients",
                since,
                seen: format!("{}: its gradient is {} times the top layer's", stack.layer(most), brief(ratios[most])),
                remedy: match stack.is_recurrent() {
                    true => "clipping (train.clip = { norm = 1.0 }), layer normalisation (model.layer_norm), or a smaller train.learning_rate",
                    false => "clipping (train.clip = { norm = 1.0 }), pre-norm layers (model.transformer.norm_first), or a smaller train.learning_rate",
                }
                .to_owned(),
            }));
        }
        verdicts
    }
}
