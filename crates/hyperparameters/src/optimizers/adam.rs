use crate::ranges::{above_0, from_0_to_below_1};
use crate::update::{Chunk, Step, Update, biases_and_norms, sweep};
use descant_kernels::Real;
use serde::{Deserialize, Serialize};

/// Adam (Kingma & Ba 2015, arXiv 1412.6980).
///
/// `m = β₁ m + (1 - β₁) g`; `v = β₂ v + (1 - β₂) g²`; `x -= lr m̂ / (√v̂ + ε)` with `m̂ = m / (1 - β₁ᵗ)` and
/// `v̂ = v / (1 - β₂ᵗ)`.
pub type Adam = AdamConfig<false>;

/// AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101).
///
/// `x -= lr weight_decay x`, then as [`Adam`].
pub type Adamw = AdamConfig<true>;

/// [`Adam`], or with `DECOUPLED` weight decay [`Adamw`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamConfig<const DECOUPLED: bool> {
    /// Decay of the running averages of the gradient and of its square.
    pub betas: [f64; 2],
    /// ε, added to the denominator.
    pub eps: f64,
    /// L2 penalty, added to the gradient, times the weight; if decoupled, what weights lose in a step, times the learning
    /// rate.
    pub weight_decay: f64,
    /// Parameters without weight decay.
    pub no_decay: Vec<String>,
}

impl<const DECOUPLED: bool> AdamConfig<DECOUPLED> {
    pub(crate) const FIELDS: &[&str] = &["betas", "eps", "weight_decay", "no_decay"];
}

impl<const DECOUPLED: bool> Default for AdamConfig<DECOUPLED> {
    fn default() -> Self {
        let weight_decay = if DECOUPLED { 1e-2 } else { 0.0 };
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay, no_decay: biases_and_norms() }
    }
}

impl<const DECOUPLED: bool> Update for AdamConfig<DECOUPLED> {
    fn state_names(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn validate(&self) -> Result<(), String> {
        self.betas.into_iter().try_for_each(|beta| from_0_to_below_1("optimizer.betas", beta))?;
        above_0("optimizer.eps", self.eps)
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let &Self { betas: [beta1, beta2], eps, weight_decay, .. } = self;
        let (kept, l2_penalty) = if DECOUPLED { (1.0 - step.lr * weight_decay, 0.0) } else { (1.0, weight_decay) };
        let bias_correction = |beta: f64| 1.0 - beta.powf(step.number as f64);
        let (kept, size) = (E::of(kept), E::of(step.lr / bias_correction(beta1)));
        // Multiplied by, as a division for each element would be the slowest part.
        let root = E::of(1.0 / bias_correction(beta2).sqrt());
        let (rest1, rest2, beta2, eps) = (E::of(1.0 - beta1), E::of(1.0 - beta2), E::of(beta2), E::of(eps));
        sweep(chunk, step.clipping, l2_penalty, |x, g, [m, v]| {
            *m += rest1 * (g - *m);
            *v = beta2 * *v + rest2 * g * g;
            *x = kept * *x - size * *m / (v.sqrt() * root + eps);
        });
    }
}
