use crate::update::{Chunk, Step, Update, biases_and_norms, sweep};
use descant_kernels::Real;
use serde::{Deserialize, Serialize};

/// Sign SGD with momentum (Bernstein et al. 2018, arXiv 1802.04434), there called Signum.
///
/// `m = β m + (1 - β) g`; `x -= lr sign(m)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignSgd {
    /// Momentum β.
    pub momentum: f64,
    /// L2 penalty: added to the gradient, times the weight.
    pub weight_decay: f64,
    /// Parameters without weight decay.
    pub no_decay: Vec<String>,
}

impl Default for SignSgd {
    fn default() -> Self {
        Self { momentum: 0.9, weight_decay: 0.0, no_decay: biases_and_norms() }
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
