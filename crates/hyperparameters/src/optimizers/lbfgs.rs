use crate::fields::fields;
use crate::ranges::check;
use crate::update::{Chunk, Step, Update, sweep};
use descant_kernels::Real;

fields! {
    /// L-BFGS (Liu & Nocedal 1989) with a line search for the strong Wolfe conditions, for small problems: a step is one iteration over the
    /// whole text.
    ///
    /// `x += t d`, with `d = -H g` by the two-loop recursion over the last changes of weights and gradients, and `t` from the line search,
    /// whose first value is the learning rate. What it needs beside a gradient is in `descant_optim`; without it, a step is one of gradient
    /// descent.
    Lbfgs {
        /// How many of the last changes are kept.
        history_size: usize = 100,
    }
}

impl Update for Lbfgs {
    fn state_names(&self) -> &'static [&'static str] {
        &[]
    }

    fn validate(&self) -> Result<(), String> {
        let none = self.weight_decay == 0.0;
        check(
            "optimizer.weight_decay",
            self.weight_decay,
            none,
            "0, as the line search goes by the loss, for kind = \"lbfgs\"",
        )?;
        let size = self.history_size;
        check("optimizer.history_size", size as f64, (1..=1000).contains(&size), "a whole number from 1 to 1000")
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let lr = E::of(step.lr);
        sweep(chunk, step.clipping, 0.0, |x, g, []| *x -= lr * g);
    }
}
