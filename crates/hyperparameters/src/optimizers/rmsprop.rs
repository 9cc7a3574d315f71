use crate::fields::fields;
use crate::ranges::{above_0, from_0_to_below_1};
use crate::update::{Chunk, Step, Update, sweep};
use descant_kernels::Real;

fields! {
    /// RMSprop (Hinton 2012, lecture 6e; centered as in Graves 2013, arXiv 1308.0850).
    ///
    /// `s = α s + (1 - α) g²`; `d = g / (√s + ε)`, or centered `d = g / (√(s - m²) + ε)` with `m = α m + (1 - α) g`; then
    /// `x -= lr d`, or with momentum `v = μ v + d` and `x -= lr v`.
    Rmsprop {
        /// Decay α of the running averages.
        alpha: f64 = 0.99,
        /// ε, added to the denominator.
        eps: f64 = 1e-8,
        /// Momentum μ; 0 for none.
        momentum: f64 = 0.0,
        /// Whether to divide by the standard deviation instead of the root mean square.
        centered: bool = false,
    }
}

impl Update for Rmsprop {
    fn state_names(&self) -> &'static [&'static str] {
        match (self.centered, self.momentum > 0.0) {
            (false, false) => &["square_avg"],
            (true, false) => &["square_avg", "grad_avg"],
            (false, true) => &["square_avg", "momentum_buffer"],
            (true, true) => &["square_avg", "grad_avg", "momentum_buffer"],
        }
    }

    fn validate(&self) -> Result<(), String> {
        from_0_to_below_1("optimizer.alpha", self.alpha)?;
        from_0_to_below_1("optimizer.momentum", self.momentum)?;
        above_0("optimizer.eps", self.eps)
    }

    fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
        let (lr, mu, eps) = (E::of(step.lr), E::of(self.momentum), E::of(self.eps));
        let (alpha, rest) = (E::of(self.alpha), E::of(1.0 - self.alpha));
        let normalized = |g: E, square: &mut E| {
            *square = alpha * *square + rest * g * g;
            g / (square.sqrt() + eps)
        };
        let centered = |g: E, square: &mut E, mean: &mut E| {
            *square = alpha * *square + rest * g * g;
            *mean += rest * (g - *mean);
            g / ((*square - *mean * *mean).sqrt() + eps)
        };
        let with_momentum = |x: &mut E, d: E, v: &mut E| {
            *v = mu * *v + d;
            *x -= lr * *v;
        };
        let (clipping, decay) = (step.clipping, self.weight_decay);
        match (self.centered, self.momentum > 0.0) {
            (false, false) => sweep(chunk, clipping, decay, |x, g, [square]| *x -= lr * normalized(g, square)),
            (true, false) => sweep(chunk, clipping, decay, |x, g, [square, mean]| *x -= lr * centered(g, square, mean)),
            (false, true) => {
                sweep(chunk, clipping, decay, |x, g, [square, v]| with_momentum(x, normalized(g, square), v));
            }
            (true, true) => {
                sweep(chunk, clipping, decay, |x, g, [square, mean, v]| with_momentum(x, centered(g, square, mean), v));
            }
        }
    }
}
