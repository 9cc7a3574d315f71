use crate::fields::fields;
use crate::ranges::from_0_to_below_1;
use crate::update::{Chunk, Step, Update, sweep};
use descant_kernels::Real;

fields! {
    /// Stochastic gradient descent: plain (full-batch gradient descent if the batch is all of the data), with momentum, or with
    /// Nesterov momentum (Sutskever et al. 2013).
    ///
    /// `v = μ v + (1 - dampening) g`, with `v = g` in the first step; `x -= lr v`, or with Nesterov `x -= lr (g + μ v)`.
    Sgd {
        /// Momentum μ; 0 for none.
        momentum: f64 = 0.0,
        /// Dampening of the momentum.
        dampening: f64 = 0.0,
        /// Nesterov momentum.
        nesterov: bool = false,
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
