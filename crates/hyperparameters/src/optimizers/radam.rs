use crate::fields::fields;
use crate::ranges::{above_0, from_0_to_below_1};
use crate::update::{Chunk, Step, Update, sweep};
use descant_kernels::Real;

fields! {
    /// RAdam: Adam whose first steps are without the second moment, until that is known well enough (Liu et al. 2020, arXiv
    /// 1908.03265).
    ///
    /// `ρ∞ = 2 / (1 - β₂) - 1`, `ρₜ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ)`; moments as in [`Adam`](super::Adam). While `ρₜ ≤ 5`, `x -= lr m̂`; then
    /// `x -= lr r m̂ √(1 - β₂ᵗ) / (√v + ε)` with `r² = (ρₜ - 4)(ρₜ - 2) ρ∞ / ((ρ∞ - 4)(ρ∞ - 2) ρₜ)`.
    Radam {
        /// Decay rates of the first and second moment.
        betas: [f64; 2] = [0.9, 0.999],
        /// ε, added to the denominator.
        eps: f64 = 1e-8,
        /// Whether weight decay is decoupled from the gradient.
        decoupled_weight_decay: bool = false,
    }
}

impl Update for Radam {
    fn state_names(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn validate(&self) -> Result<(), String> {
        self.betas.into_iter().try_for_each(|beta| from_0_to_below_1("optimizer.betas", beta))?;
        above_0("optimizer.eps", self.eps)
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let ([beta1, beta2], t) = (self.betas, step.number as f64);
        let correction2 = 1.0 - beta2.powf(t);
        let longest = 2.0 / (1.0 - beta2) - 1.0;
        let length = longest - 2.0 * t * beta2.powf(t) / correction2;
        let rectified = (length > 5.0)
            .then(|| ((length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length)).sqrt());
        let (kept, l2_penalty) = match self.decoupled_weight_decay {
            true => (1.0 - step.lr * self.weight_decay, 0.0),
            false => (1.0, self.weight_decay),
        };
        let (kept, size) = (E::of(kept), step.lr / (1.0 - beta1.powf(t)));
        let (rest1, rest2, beta2, eps) = (E::of(1.0 - beta1), E::of(1.0 - beta2), E::of(beta2), E::of(self.eps));
        let moments = |g: E, m: &mut E, v: &mut E| {
            *m += rest1 * (g - *m);
            *v = beta2 * *v + rest2 * g * g;
        };
        match rectified {
            None => {
                let size = E::of(size);
                sweep(chunk, step.clipping, l2_penalty, |x, g, [m, v]| {
                    moments(g, m, v);
                    *x = kept * *x - size * *m;
                });
            }
            Some(rectified) => {
                let size = E::of(size * rectified * correction2.sqrt());
                sweep(chunk, step.clipping, l2_penalty, |x, g, [m, v]| {
                    moments(g, m, v);
                    *x = kept * *x - size * *m / (v.sqrt() + eps);
                });
            }
        }
    }
}
