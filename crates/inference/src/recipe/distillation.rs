use descant_tensor::Brief;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Distillation from a teacher at token level, beside the texts (Hinton et al. 2015, arXiv 1503.02531; Kim & Rush
/// 2016, arXiv 1606.07947): the `[distill]` table of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillConfig {
    /// Its run folder.
    pub teacher: PathBuf,
    /// The weight of the teacher's loss; the texts' has the rest.
    #[serde(default = "half")]
    pub weight: f64,
    /// Softmax temperature of both models' logits: above 1, less likely tokens count more.
    #[serde(default = "one")]
    pub temperature: f64,
    /// CRC-32 of its weights, which training writes into the resolved recipe: a resume needs the same teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<u32>,
}

impl DistillConfig {
    /// That every number is in its range.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        if !(self.weight > 0.0 && self.weight <= 1.0) {
            return Err(format!("distill.weight = {}: expected a number above 0, to 1", Brief(self.weight)));
        }
        match self.temperature > 0.0 && self.temperature.is_finite() {
            true => Ok(()),
            false => Err(format!("distill.temperature = {}: expected a number above 0", Brief(self.temperature))),
        }
    }
}

fn half() -> f64 {
    0.5
}

fn one() -> f64 {
    1.0
}
