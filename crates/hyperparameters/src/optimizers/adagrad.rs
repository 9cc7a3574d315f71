use crate::fields::fields;
use crate::ranges::{above_0, from_0};
use crate::update::{Chunk, Step, Update, sweep};
use descant_kernels::Real;

fields! {
    /// Adagrad (Duchi et al. 2011).
    ///
    /// `s += g²`; `x -= lr' g / (√s + ε)` with `lr' = lr / (1 + (t - 1) lr_decay)`.
    Adagrad {
        /// Decay of the learning rate: `lr / (1 + steps lr_decay)`.
        lr_decay: f64 = 0.0,
        /// ε, added to the denominator.
        eps: f64 = 1e-10,
        /// What the sums of squared gradients start from.
        initial_accumulator_value: f64 = 0.0,
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
