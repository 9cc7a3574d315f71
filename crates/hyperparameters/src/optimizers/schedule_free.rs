use crate::fields::fields;
use crate::ranges::{above_0, from_0_to_below_1};
use crate::update::{Chunk, Step, Update, sweep};
use descant_kernels::Real;

fields! {
    /// Schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682), in the steps of its authors' program: an average of the weights takes the
    /// place of a decaying learning rate, so that no length has to be known before.
    ///
    /// With the gradient `g` at `y`: `v = β₂ v + (1 - β₂) g²`; `d = g / (√v̂ + ε) + weight_decay y`; `z -= lr d`; `x = (1 - c) x + c z`;
    /// `y = (1 - β₁) z + β₁ x`. The share `c` is that of `lr_max²`, of the largest rate so far, in the sum over all steps. The average `x` is
    /// what is evaluated and written with; it is computed from `y`, the weights that are trained, and `z`.
    AdamwScheduleFree {
        /// The share of the average in `y`; decay of the running average of the gradient's square.
        betas: [f64; 2] = [0.9, 0.999],
        /// ε, added to the denominator.
        eps: f64 = 1e-8,
    }
}

impl Update for AdamwScheduleFree {
    fn state_names(&self) -> &'static [&'static str] {
        &["z", "exp_avg_sq"]
    }

    fn average(&self) -> Option<f64> {
        Some(1.0 - 1.0 / self.betas[0])
    }

    fn validate(&self) -> Result<(), String> {
        self.betas.into_iter().try_for_each(|beta| from_0_to_below_1("optimizer.betas", beta))?;
        match self.betas[0] > 0.0 {
            true => above_0("optimizer.eps", self.eps),
            false => Err("optimizer.betas[0] = 0: expected a number above 0, the share of the average".to_owned()),
        }
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let [beta1, beta2] = self.betas;
        let root = E::of(1.0 / (1.0 - beta2.powf(step.number as f64)).sqrt());
        let (lr, share, decay) = (E::of(step.lr), E::of(step.average), E::of(self.weight_decay));
        let along = E::of(step.lr * (beta1 * (1.0 - step.average) - 1.0));
        let (rest2, beta2, eps) = (E::of(1.0 - beta2), E::of(beta2), E::of(self.eps));
        let is_first = step.number == 1;
        sweep(chunk, step.clipping, 0.0, |y, g, [z, v]| {
            let from = if is_first { *y } else { *z };
            *v = beta2 * *v + rest2 * g * g;
            let direction = g / (v.sqrt() * root + eps) + decay * *y;
            *y = *y + share * (from - *y) + along * direction;
            *z = from - lr * direction;
        });
    }
}
