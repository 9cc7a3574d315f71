use crate::ranges::from_0_to_below_1;
use crate::update::{Chunk, Step, Update, biases_and_norms, sweep};
use descant_kernels::Real;
use serde::{Deserialize, Serialize};

/// Stochastic gradient descent: plain (full-batch gradient descent if the batch is all of the data), with momentum, or with
/// Nesterov momentum (Sutskever et al. 2013).
///
/// `v = μ v + (1 - dampening) g`, with `v = g` in the first step; `x -= lr v`, or with Nesterov `x -= lr (g + μ v)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Momentum μ; 0 for none.
    pub momentum: f64,
    /// Dampening of the momentum.
    pub dampening: f64,
    /// Nesterov momentum.
    pub nesterov: bool,
    /// L2 penalty: added to the gradient, times the weight.
    pub weight_decay: f64,
    /// Parameters without weight decay.
    pub no_decay: Vec<String>,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0, no_decay: biases_and_norms() }
    }
}

impl Update for Sgd {
    fn state_names(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum_buffer"] }
    }

    fn validate(&self) -> Result<(), String> {
        from_0_to_below_1("optimizer.momentum", self.momentum)?;
        from_0_to_below_1("optimizer.dampening", self.dampening)?;
        match self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            true => Err("optimizer.nesterov = true: expected a momentum above 0, and no dampening".to_owned()),
            false => Ok(()),
        }
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let &Self { momentum, dampening, nesterov, weight_decay, .. } = self;
        let (lr, mu, kept) = (E::of(step.lr), E::of(momentum), E::of(1.0 - dampening));
        if momentum == 0.0 {
            return sweep(chunk, step.clipping, weight_decay, |x, g, []| *x -= lr * g);
        }
        let is_first = step.number == 1;
        sweep(chunk, step.clipping, weight_decay, |x, g, [v]| {
            *v = if is_first { g } else { mu * *v + kept * g };
            *x -= lr * if nesterov { g + mu * *v } else { *v };
        });
    }
}
