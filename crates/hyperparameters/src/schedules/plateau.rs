use crate::formula::Formula;
use crate::ranges::{from_0_to_1, from_0_to_below_1};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Reduce on plateau: times `factor` after more than `patience` validations without a better loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// The factor of a reduction.
    pub factor: f64,
    /// Validations to wait.
    pub patience: u64,
    /// The relative improvement of the best loss that counts as better.
    pub threshold: f64,
    /// The least factor of the learning rate.
    pub minimum: f64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { factor: 0.1, patience: 10, threshold: 1e-4, minimum: 0.0 }
    }
}

impl Formula for Plateau {
    const DEPENDS_ON_STEPS: bool = false;

    /// The factor before any reduction; [`PlateauState`] has the current one.
    fn factor(&self, _step: u64, _steps: u64) -> f64 {
        1.0
    }

    fn validate(&self, _steps: u64) -> Result<(), String> {
        from_0_to_1("schedule.factor", self.factor)?;
        from_0_to_below_1("schedule.threshold", self.threshold)?;
        from_0_to_1("schedule.minimum", self.minimum)
    }
}

/// What a plateau has observed.
#[derive(Clone, Debug)]
pub struct PlateauState {
    /// The current factor of the learning rate.
    pub factor: f64,
    best: f64,
    /// Validations since the best loss.
    stale: u64,
}

impl Default for PlateauState {
    fn default() -> Self {
        Self { factor: 1.0, best: f64::INFINITY, stale: 0 }
    }
}

impl PlateauState {
    /// Takes note of a validation loss.
    pub fn observe(&mut self, config: &Plateau, loss: f64) {
        if loss < self.best * (1.0 - config.threshold) {
            (self.best, self.stale) = (loss, 0);
            return;
        }
        self.stale += 1;
        if self.stale > config.patience {
            (self.factor, self.stale) = ((self.factor * config.factor).max(config.minimum), 0);
        }
    }

    /// As JSON, for a checkpoint.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let best = self.best.is_finite().then_some(self.best);
        json!({"share": self.factor, "best": best, "stale": self.stale})
    }

    /// What [`PlateauState::to_json`] wrote.
    pub fn from_json(state: &Value) -> Option<Self> {
        let best = state["best"].as_f64().unwrap_or(f64::INFINITY);
        Some(Self { factor: state["share"].as_f64()?, best, stale: state["stale"].as_u64()? })
    }
}
