use crate::formula::{Formula, rise, shorten, within};
use serde::{Deserialize, Serialize};

/// Warm-up, then decay with the inverse square root of the steps (Vaswani et al. 2017, arXiv 1706.03762).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InverseSqrt {
    /// Steps of the warm-up.
    pub warmup: u64,
}

impl Formula for InverseSqrt {
    const DEPENDS_ON_STEPS: bool = false;

    fn factor(&self, step: u64, _steps: u64) -> f64 {
        let warmup = self.warmup;
        rise(step, warmup).unwrap_or_else(|| (warmup.max(1) as f64 / (step as f64 + 1.0)).sqrt())
    }

    fn validate(&self, steps: u64) -> Result<(), String> {
        within("schedule.warmup", self.warmup, steps)
    }

    fn shorten(&mut self, steps: u64) {
        shorten(&mut self.warmup, steps);
    }
}
