use super::adam::Moments;
use crate::update::{Chunk, Step, Update, biases_and_norms};
use descant_kernels::Real;
use serde::{Deserialize, Serialize};

/// AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101).
///
/// `x -= lr weight_decay x`, then as [`Adam`](super::Adam).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adamw {
    /// Decay of the running averages of the gradient and of its square.
    pub betas: [f64; 2],
    /// ε, added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay: what weights lose in a step, times the learning rate.
    pub weight_decay: f64,
    /// Parameters without weight decay.
    pub no_decay: Vec<String>,
}

impl Default for Adamw {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 1e-2, no_decay: biases_and_norms() }
    }
}

impl Update for Adamw {
    fn state_names(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn validate(&self) -> Result<(), String> {
        Moments::validate(self.betas, self.eps)
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let &Self { betas, eps, weight_decay, .. } = self;
        Moments { betas, eps, kept: 1.0 - step.lr * weight_decay, l2_penalty: 0.0 }.update(chunk, step);
    }
}
