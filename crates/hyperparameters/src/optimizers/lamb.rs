use super::adam::Adam;
use crate::fields::fields;
use crate::ranges::{above_0, from_0_to_below_1};
use crate::update::{Chunk, Step, Update, norm, sweep};
use descant_kernels::{Real, sum_of_squares};

fields! {
    /// LAMB: Adam with a learning rate for each parameter, for large batches (You et al. 2020, arXiv 1904.00962).
    ///
    /// Moments as in [`Adam`]; `d = m̂ / (√v̂ + ε) + weight_decay x`; `x -= lr (‖x‖ / ‖d‖) d`, with a trust ratio of 1 where a norm is 0.
    /// What `no_decay` names has the steps of Adam, as in its authors' program.
    Lamb {
        /// Decay rates of the first and second moment.
        betas: [f64; 2] = [0.9, 0.999],
        /// ε, added to the denominator.
        eps: f64 = 1e-6,
    }
    weight_decay = 1e-2
}

impl Lamb {
    /// What updates a parameter without weight decay.
    pub(crate) fn without_trust_ratio(&self) -> Adam {
        Adam { betas: self.betas, eps: self.eps, ..Adam::default() }
    }
}

impl Update for Lamb {
    const WHOLE: bool = true;

    fn state_names(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn validate(&self) -> Result<(), String> {
        self.betas.into_iter().try_for_each(|beta| from_0_to_below_1("optimizer.betas", beta))?;
        above_0("optimizer.eps", self.eps)
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let Chunk { shape, x, g, state: [m, v, _] } = chunk;
        let [beta1, beta2] = self.betas;
        let bias_correction = |beta: f64| 1.0 - beta.powf(step.number as f64);
        let (size, root) = (E::of(1.0 / bias_correction(beta1)), E::of(1.0 / bias_correction(beta2).sqrt()));
        let (rest1, rest2, beta2) = (E::of(1.0 - beta1), E::of(1.0 - beta2), E::of(beta2));
        let (eps, decay) = (E::of(self.eps), E::of(self.weight_decay));
        let moments = Chunk { shape, x: &mut *x, g, state: [&mut *m, &mut *v, &mut []] };
        sweep(moments, step.clipping, 0.0, |_, g, [m, v]| {
            *m += rest1 * (g - *m);
            *v = beta2 * *v + rest2 * g * g;
        });
        let direction = |x: E, m: E, v: E| size * m / (v.sqrt() * root + eps) + decay * x;
        let ratio = sum_of_squares(x).sqrt() / norm([&*x, &*m, &*v], |[x, m, v]| direction(x, m, v));
        let ratio = if ratio > 0.0 && ratio.is_finite() { ratio } else { 1.0 };
        let rate = E::of(step.lr * ratio);
        sweep(Chunk { shape, x, g, state: [m, v, &mut []] }, step.clipping, 0.0, |x, _, [m, v]| {
            *x -= rate * direction(*x, *m, *v);
        });
    }
}
