use crate::ranges::{above_0, from_0_to_below_1};
use crate::update::{Chunk, Step, Update, biases_and_norms, sweep};
use descant_kernels::Real;
use serde::{Deserialize, Serialize};

/// Adam (Kingma & Ba 2015, arXiv 1412.6980).
///
/// `m = β₁ m + (1 - β₁) g`; `v = β₂ v + (1 - β₂) g²`; `x -= lr m̂ / (√v̂ + ε)` with `m̂ = m / (1 - β₁ᵗ)` and
/// `v̂ = v / (1 - β₂ᵗ)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Decay of the running averages of the gradient and of its square.
    pub betas: [f64; 2],
    /// ε, added to the denominator.
    pub eps: f64,
    /// L2 penalty: added to the gradient, times the weight.
    pub weight_decay: f64,
    /// Parameters without weight decay.
    pub no_decay: Vec<String>,
}

impl Default for Adam {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, no_decay: biases_and_norms() }
    }
}

/// Adam's update of the weights, after they are multiplied by `kept`, which is below 1 in AdamW alone.
pub(super) struct Moments {
    pub(super) betas: [f64; 2],
    pub(super) eps: f64,
    pub(super) kept: f64,
    pub(super) l2_penalty: f64,
}

impl Moments {
    pub(super) fn validate(betas: [f64; 2], eps: f64) -> Result<(), String> {
        betas.into_iter().try_for_each(|beta| from_0_to_below_1("optimizer.betas", beta))?;
        above_0("optimizer.eps", eps)
    }

    pub(super) fn update<E: Real>(self, chunk: Chunk<'_, E>, step: Step) {
        let Self { betas: [beta1, beta2], eps, kept, l2_penalty } = self;
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

impl Update for Adam {
    fn state_names(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn validate(&self) -> Result<(), String> {
        Moments::validate(self.betas, self.eps)
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let &Self { betas, eps, weight_decay, .. } = self;
        Moments { betas, eps, kept: 1.0, l2_penalty: weight_decay }.update(chunk, step);
    }
}
