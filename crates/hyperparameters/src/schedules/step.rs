use crate::formula::Formula;
use crate::ranges::from_0_to_1;
use serde::{Deserialize, Serialize};

/// Step decay: times `gamma` after every `every` steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Steps between two decays.
    pub every: u64,
    /// The factor of a decay.
    #[serde(default = "a_tenth")]
    pub gamma: f64,
}

fn a_tenth() -> f64 {
    0.1
}

impl Formula for Step {
    const DEPENDS_ON_STEPS: bool = false;

    fn factor(&self, step: u64, _steps: u64) -> f64 {
        self.gamma.powf((step / self.every.max(1)) as f64)
    }

    fn validate(&self, _steps: u64) -> Result<(), String> {
        match self.every {
            0 => Err("schedule.every = 0: expected 1 or more".to_owned()),
            _ => from_0_to_1("schedule.gamma", self.gamma),
        }
    }
}
