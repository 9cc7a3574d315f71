use crate::formula::Formula;
use crate::ranges::from_0_to_1;
use serde::{Deserialize, Serialize};

/// Exponential decay: times `gamma` after each step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exponential {
    /// The factor of a decay.
    pub gamma: f64,
}

impl Formula for Exponential {
    const DEPENDS_ON_STEPS: bool = false;

    fn factor(&self, step: u64, _steps: u64) -> f64 {
        self.gamma.powf(step as f64)
    }

    fn validate(&self, _steps: u64) -> Result<(), String> {
        from_0_to_1("schedule.gamma", self.gamma)
    }
}
