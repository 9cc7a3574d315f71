use crate::formula::{Formula, progress};
use crate::ranges::from_0_to_1;
use serde::{Deserialize, Serialize};

/// A linear rise to 1, reached after the share `peak` of the steps, and a linear decay to 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Triangle {
    /// The share of the steps after which the factor is 1.
    pub peak: f64,
}

impl Default for Triangle {
    fn default() -> Self {
        Self { peak: 0.5 }
    }
}

impl Formula for Triangle {
    const DEPENDS_ON_STEPS: bool = true;

    fn factor(&self, step: u64, steps: u64) -> f64 {
        let done = progress(step, 0, steps);
        if done < self.peak { done / self.peak } else { (1.0 - done) / (1.0 - self.peak).max(f64::MIN_POSITIVE) }
    }

    fn validate(&self, _steps: u64) -> Result<(), String> {
        from_0_to_1("schedule.peak", self.peak)
    }
}
