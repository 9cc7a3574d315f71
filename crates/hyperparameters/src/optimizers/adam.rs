//! Adam, and with decoupled weight decay AdamW.

use crate::fields::fields;
use crate::ranges::{above_0, from_0_to_below_1};
use crate::update::{Chunk, Step, Update, sweep};
use descant_kernels::Real;

/// Either of them, with the default of its weight decay, and what the learning rate and the decay come to: what a weight keeps in a
/// step, and the L2 penalty.
macro_rules! adam {
    ($(#[$doc:meta])* $optimizer:ident, $weight_decay:literal, $decay:expr) => {
        fields! {
            $(#[$doc])*
            $optimizer {
                /// Decay of the running averages of the gradient and of its square.
                betas: [f64; 2] = [0.9, 0.999],
                /// ε, added to the denominator.
                eps: f64 = 1e-8,
                /// Whether the denominator has the largest `v` so far: AMSGrad (Reddi et al. 2018, arXiv 1904.09237).
                amsgrad: bool = false,
            }
            weight_decay = $weight_decay
        }

        impl Update for $optimizer {
            fn state_names(&self) -> &'static [&'static str] {
                if self.amsgrad { &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] } else { &["exp_avg", "exp_avg_sq"] }
            }

            fn validate(&self) -> Result<(), String> {
                self.betas.into_iter().try_for_each(|beta| from_0_to_below_1("optimizer.betas", beta))?;
                above_0("optimizer.eps", self.eps)
            }

            fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
                let decay: fn(f64, f64) -> (f64, f64) = $decay;
                update(self.betas, self.eps, self.amsgrad, decay(step.lr, self.weight_decay), chunk, step);
            }
        }
    };
}

adam! {
    /// Adam (Kingma & Ba 2015, arXiv 1412.6980).
    ///
    /// `m = β₁ m + (1 - β₁) g`; `v = β₂ v + (1 - β₂) g²`; `x -= lr m̂ / (√v̂ + ε)` with `m̂ = m / (1 - β₁ᵗ)` and
    /// `v̂ = v / (1 - β₂ᵗ)`.
    Adam, 0.0, |_, weight_decay| (1.0, weight_decay)
}

adam! {
    /// AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101).
    ///
    /// `x -= lr weight_decay x`, then as [`Adam`].
    Adamw, 1e-2, |lr, weight_decay| (1.0 - lr * weight_decay, 0.0)
}

fn update<E: Real>(
    [beta1, beta2]: [f64; 2],
    eps: f64,
    amsgrad: bool,
    (kept, l2_penalty): (f64, f64),
    chunk: Chunk<'_, E>,
    step: Step,
) {
    let bias_correction = |beta: f64| 1.0 - beta.powf(step.number as f64);
    let (kept, size) = (E::of(kept), E::of(step.lr / bias_correction(beta1)));
    // Multiplied by, as a division for each element would be the slowest part.
    let root = E::of(1.0 / bias_correction(beta2).sqrt());
    let (rest1, rest2, beta2, eps) = (E::of(1.0 - beta1), E::of(1.0 - beta2), E::of(beta2), E::of(eps));
    let moments = |g: E, m: &mut E, v: &mut E| {
        *m += rest1 * (g - *m);
        *v = beta2 * *v + rest2 * g * g;
    };
    match amsgrad {
        true => sweep(chunk, step.clipping, l2_penalty, |x, g, [m, v, largest]| {
            moments(g, m, v);
            *largest = largest.max(*v);
            *x = kept * *x - size * *m / (largest.sqrt() * root + eps);
        }),
        false => sweep(chunk, step.clipping, l2_penalty, |x, g, [m, v]| {
            moments(g, m, v);
            *x = kept * *x - size * *m / (v.sqrt() * root + eps);
        }),
    }
}
