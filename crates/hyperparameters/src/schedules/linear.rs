use crate::formula::{Formula, progress, rise, shorten, within};
use crate::ranges::from_0_to_1;
use serde::{Deserialize, Serialize};

/// Warm-up, then linear decay to the factor `end`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Linear {
    /// Steps of the warm-up.
    pub warmup: u64,
    /// The factor at the end of the training.
    pub end: f64,
}

impl Formula for Linear {
    const DEPENDS_ON_STEPS: bool = true;

    fn factor(&self, step: u64, steps: u64) -> f64 {
        rise(step, self.warmup).unwrap_or_else(|| 1.0 + (self.end - 1.0) * progress(step, self.warmup, steps))
    }

    fn validate(&self, steps: u64) -> Result<(), String> {
        within("schedule.warmup", self.warmup, steps)?;
        from_0_to_1("schedule.end", self.end)
    }

    fn shorten(&mut self, steps: u64) {
        shorten(&mut self.warmup, steps);
    }
}
