use crate::fields::fields;
use crate::update::{Chunk, Step, Update, sweep};
use descant_kernels::Real;

fields! {
    /// Sign SGD with momentum (Bernstein et al. 2018, arXiv 1802.04434), there called Signum.
    ///
    /// `m = β m + (1 - β) g`; `x -= lr sign(m)`.
    SignSgd {
        /// Momentum β.
        momentum: f64 = 0.9,
    }
}

impl Update for SignSgd {
    fn state_names(&self) -> &'static [&'static str] {
        &["momentum_buffer"]
    }

    fn validate(&self) -> Result<(), String> {
        crate::ranges::from_0_to_below_1("optimizer.momentum", self.momentum)
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let (lr, beta) = (E::of(step.lr), E::of(self.momentum));
        sweep(chunk, step.clipping, self.weight_decay, |x, g, [m]| {
            *m = beta * *m + (E::one() - beta) * g;
            *x -= lr * m.signum();
        });
    }
}
