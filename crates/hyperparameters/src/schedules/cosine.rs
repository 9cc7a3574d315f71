use crate::formula::{Formula, progress, rise, shorten, within};
use crate::ranges::from_0_to_1;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Warm-up, then decay to the factor `end` along half a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// Steps of the warm-up.
    pub warmup: u64,
    /// The factor at the end of the training.
    pub end: f64,
}

impl Formula for Cosine {
    const DEPENDS_ON_STEPS: bool = true;

    fn factor(&self, step: u64, steps: u64) -> f64 {
        let &Self { warmup, end } = self;
        rise(step, warmup)
            .unwrap_or_else(|| end + (1.0 - end) * (1.0 + (PI * progress(step, warmup, steps)).cos()) / 2.0)
    }

    fn validate(&self, steps: u64) -> Result<(), String> {
        within("schedule.warmup", self.warmup, steps)?;
        from_0_to_1("schedule.end", self.end)
    }

    fn shorten(&mut self, steps: u64) {
        shorten(&mut self.warmup, steps);
    }
}
