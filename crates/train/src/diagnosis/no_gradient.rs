use super::{Streak, Verdict};
use crate::gradient_flow::GradientFlow;
use std::collections::BTreeMap;

/// Lines in a row.
const TIMES: u32 = 3;

/// Parameters that nothing flows to: what they compute does not reach the loss, or all their units are dead.
#[derive(Debug, Default)]
pub(super) struct NoGradient(BTreeMap<String, Streak>);

impl NoGradient {
    pub(super) fn observe(&mut self, step: u64, flow: &GradientFlow) -> Vec<Verdict> {
        // Where all is zero, no target counted.
        if flow.values().all(|flow| flow.gradient == 0.0) {
            return Vec::new();
        }
        let mut verdicts = Vec::new();
        for (name, flow) in flow {
            let since = self.0.entry(name.clone()).or_default().observe(step, flow.gradient == 0.0, TIMES);
            verdicts.extend(since.map(|since| Verdict {
                kind: "no gradient",
                since,
                seen: format!("all of the gradient of '{name}' is zero: what it computes does not change the loss"),
                remedy: "a smaller train.learning_rate where its units died (ReLU), or a look at what the model reads of it".to_owned(),
            }));
        }
        verdicts
    }
}
