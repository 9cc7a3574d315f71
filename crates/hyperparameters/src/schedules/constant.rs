use crate::formula::Formula;
use serde::{Deserialize, Serialize};

/// A constant learning rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constant {}

impl Formula for Constant {
    const DEPENDS_ON_STEPS: bool = false;

    fn factor(&self, _step: u64, _steps: u64) -> f64 {
        1.0
    }

    fn validate(&self, _steps: u64) -> Result<(), String> {
        Ok(())
    }
}
