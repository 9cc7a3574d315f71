use crate::fields::fields;
use crate::ranges::from_0_to_below_1;
use crate::update::{Chunk, Step, Update, sweep};
use descant_kernels::Real;

fields! {
    /// Lion: the sign of an interpolated momentum (Chen et al. 2023, arXiv 2302.06675). Its learning rate is 3 to 10 times
    /// smaller than that of AdamW, and its weight decay as many times larger.
    ///
    /// `x -= lr weight_decay x`; `x -= lr sign(β₁ m + (1 - β₁) g)`; `m = β₂ m + (1 - β₂) g`.
    Lion {
        /// Decay rates of the update and of the momentum.
        betas: [f64; 2] = [0.9, 0.99],
    }
}

impl Update for Lion {
    fn state_names(&self) -> &'static [&'static str] {
        &["exp_avg"]
    }

    fn validate(&self) -> Result<(), String> {
        self.betas.into_iter().try_for_each(|beta| from_0_to_below_1("optimizer.betas", beta))
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let ([beta1, beta2], [rest1, rest2]) = (self.betas.map(E::of), self.betas.map(|beta| E::of(1.0 - beta)));
        let (lr, kept) = (E::of(step.lr), E::of(1.0 - step.lr * self.weight_decay));
        sweep(chunk, step.clipping, 0.0, |x, g, [m]| {
            let update = beta1 * *m + rest1 * g;
            // The sign of 0 is 0.
            let sign = if update == E::zero() { update } else { E::one().copysign(update) };
            *x = kept * *x - lr * sign;
            *m = beta2 * *m + rest2 * g;
        });
    }
}
