use crate::fields::fields;
use crate::ranges::{above_0, from_0_to_below_1};
use crate::update::{Chunk, Step, Update, sweep};
use descant_kernels::Real;

fields! {
    /// Adadelta (Zeiler 2012, arXiv 1212.5701). Made for a learning rate of 1.
    ///
    /// `s = ρ s + (1 - ρ) g²`; `Δ = g √(d + ε) / √(s + ε)`; `d = ρ d + (1 - ρ) Δ²`; `x -= lr Δ`.
    Adadelta {
        /// Decay ρ of the running averages.
        rho: f64 = 0.9,
        /// ε, added under the roots.
        eps: f64 = 1e-6,
    }
}

impl Update for Adadelta {
    fn state_names(&self) -> &'static [&'static str] {
        &["square_avg", "acc_delta"]
    }

    fn validate(&self) -> Result<(), String> {
        from_0_to_below_1("optimizer.rho", self.rho)?;
        above_0("optimizer.eps", self.eps)
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let (lr, rho, rest, eps) = (E::of(step.lr), E::of(self.rho), E::of(1.0 - self.rho), E::of(self.eps));
        sweep(chunk, step.clipping, self.weight_decay, |x, g, [square, acc_delta]| {
            *square = rho * *square + rest * g * g;
            let delta = (*acc_delta + eps).sqrt() / (*square + eps).sqrt() * g;
            *acc_delta = rho * *acc_delta + rest * delta * delta;
            *x -= lr * delta;
        });
    }
}
