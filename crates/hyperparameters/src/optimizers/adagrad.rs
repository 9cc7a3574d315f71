use crate::ranges::{above_0, from_0};
use crate::update::{Chunk, Step, Update, biases_and_norms, sweep};
use descant_kernels::Real;
use serde::{Deserialize, Serialize};

/// Adagrad (Duchi et al. 2011).
///
/// `s += g²`; `x -= lr' g / (√s + ε)` with `lr' = lr / (1 + (t - 1) lr_decay)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adagrad {
    /// Decay of the learning rate: `lr / (1 + steps lr_decay)`.
    pub lr_decay: f64,
    /// ε, added to the denominator.
    pub eps: f64,
    /// L2 penalty: added to the gradient, times the weight.
    pub weight_decay: f64,
    /// Parameters without weight decay.
    pub no_decay: Vec<String>,
    /// What the sums of squared gradients start from.
    pub initial_accumulator_value: f64,
}

impl Default for Adagrad {
    fn default() -> Self {
        Self {
            lr_decay: 0.0,
            eps: 1e-10,
            weight_decay: 0.0,
            no_decay: biases_and_norms(),
            initial_accumulator_value: 0.0,
        }
    }
}

impl Update for Adagrad {
    fn state_names(&self) -> &'static [&'static str] {
        &["sum"]
    }

    fn initial_state(&self) -> f64 {
        self.initial_accumulator_value
    }

    fn validate(&self) -> Result<(), String> {
        from_0("optimizer.lr_decay", self.lr_decay)?;
        above_0("optimizer.eps", self.eps)?;
        from_0("optimizer.initial_accumulator_value", self.initial_accumulator_value)
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let lr = E::of(step.lr / (1.0 + (step.number - 1) as f64 * self.lr_decay));
        let eps = E::of(self.eps);
        sweep(chunk, step.clipping, self.weight_decay, |x, g, [sum]| {
            *sum += g * g;
            *x -= lr * g / (sum.sqrt() + eps);
        });
    }
}
