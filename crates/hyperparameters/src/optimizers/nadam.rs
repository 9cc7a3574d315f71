use crate::fields::fields;
use crate::ranges::{above_0, from_0, from_0_to_below_1};
use crate::update::{Chunk, Step, Update, sweep};
use descant_kernels::Real;

fields! {
    /// NAdam: Adam with Nesterov momentum (Dozat 2016).
    ///
    /// `μₜ = β₁ (1 - 0.5 · 0.96^(t ψ))` with the momentum decay ψ; moments `m` and `v` as in [`Adam`](super::Adam);
    /// `x -= lr (μₜ₊₁ m / (1 - Πμ μₜ₊₁) + (1 - μₜ) g / (1 - Πμ)) / (√v̂ + ε)`, where `Πμ` is the product of all `μ` up to `t`.
    Nadam {
        /// Decay rates of the first and second moment.
        betas: [f64; 2] = [0.9, 0.999],
        /// ε, added to the denominator.
        eps: f64 = 1e-8,
        /// The momentum decay ψ.
        momentum_decay: f64 = 4e-3,
        /// Whether weight decay is decoupled from the gradient.
        decoupled_weight_decay: bool = false,
    }
}

impl Update for Nadam {
    fn state_names(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn validate(&self) -> Result<(), String> {
        self.betas.into_iter().try_for_each(|beta| from_0_to_below_1("optimizer.betas", beta))?;
        above_0("optimizer.eps", self.eps)?;
        from_0("optimizer.momentum_decay", self.momentum_decay)
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let ([beta1, beta2], t) = (self.betas, step.number as f64);
        let product = self.product(t);
        let (momentum, next) = (self.momentum(t), self.momentum(t + 1.0));
        let of_gradient = E::of(step.lr * (1.0 - momentum) / (1.0 - product));
        let of_momentum = E::of(step.lr * next / (1.0 - product * next));
        let (kept, l2_penalty) = match self.decoupled_weight_decay {
            true => (1.0 - step.lr * self.weight_decay, 0.0),
            false => (1.0, self.weight_decay),
        };
        let (kept, root) = (E::of(kept), E::of(1.0 / (1.0 - beta2.powf(t)).sqrt()));
        let (rest1, rest2, beta2, eps) = (E::of(1.0 - beta1), E::of(1.0 - beta2), E::of(beta2), E::of(self.eps));
        sweep(chunk, step.clipping, l2_penalty, |x, g, [m, v]| {
            *m += rest1 * (g - *m);
            *v = beta2 * *v + rest2 * g * g;
            *x = kept * *x - (of_gradient * g + of_momentum * *m) / (v.sqrt() * root + eps);
        });
    }
}

impl Nadam {
    /// μ of step `t`.
    fn momentum(&self, t: f64) -> f64 {
        self.betas[0] * (1.0 - 0.5 * 0.96_f64.powf(t * self.momentum_decay))
    }

    /// The product of μ over the first `t` steps, `exp(Σ ln μ)`. With `r = 0.96^ψ`, `ln(1 - rᵗ / 2)` is the power series
    /// `-Σₖ (rᵗ / 2)ᵏ / k`, whose sum over `t` is geometric: no loop over the steps.
    fn product(&self, t: f64) -> f64 {
        let ratio = 0.96_f64.powf(self.momentum_decay);
        let term = |k: i32| {
            let power = ratio.powi(k);
            let sum = if power == 1.0 { t } else { power * (1.0 - power.powf(t)) / (1.0 - power) };
            0.5_f64.powi(k) / f64::from(k) * sum
        };
        // Beyond, the terms are below the precision of f64.
        let series: f64 = (1..60).map(term).sum();
        (t * self.betas[0].ln() - series).exp()
    }
}
