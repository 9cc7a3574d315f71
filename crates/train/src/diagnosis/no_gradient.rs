use super::streak::Streak;
use super::verdict::Verdict;
use crate::gradient_flow::GradientFlow;
use descant_text::plural;
use std::collections::BTreeMap;

/// Lines in a row.
const TIMES: u32 = 3;

/// Parameters that nothing flows to: what they compute does not reach the loss, or all their units are dead.
#[derive(Debug, Default)]
pub(super) struct NoGradient {
    is_fault: bool,
    streaks: BTreeMap<String, Streak>,
}

impl NoGradient {
    pub(super) fn new(is_fault: bool) -> Self {
        Self { is_fault, ..Self::default() }
    }

    pub(super) fn observe(&mut self, step: u64, flow: &GradientFlow) -> Option<Verdict> {
        // Where all is zero, no target counted.
        if !self.is_fault || flow.values().all(|flow| flow.gradient == 0.0) {
            return None;
        }
        let mut found: Vec<(&str, u64)> = Vec::new();
        for (name, flow) in flow {
            let since = self.streaks.entry(name.clone()).or_default().observe(step, flow.gradient == 0.0, TIMES);
            found.extend(since.map(|since| (name.as_str(), since)));
        }
        let &(name, since) = found.first()?;
        let (others, they) = match found.len() {
            1 => (String::new(), "it computes does"),
            n => (format!(" and {}", plural(n as u64 - 1, "other")), "they compute does"),
        };
        Some(Verdict {
            kind: "no gradient",
            since,
            seen: format!("all of the gradient of '{name}'{others} is zero: what {they} not change the loss"),
            remedy: "a smaller train.learning_rate where units died or are saturated, or a look at what the model reads of it".to_owned(),
        })
    }
}
