use descant_kernels::{Real, row_maxima};

/// The scores of each token of the vocabulary after one hypothesis: logits less a shift.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scores<'a, E> {
    logits: &'a [E],
    shift: E,
}

impl<'a, E: Real> Scores<'a, E> {
    /// The logits themselves.
    pub(crate) fn logits(logits: &'a [E]) -> Self {
        Self { logits, shift: E::zero() }
    }

    /// Log probabilities, by the logarithm of the sum of the exponentials of the logits.
    pub(crate) fn log_softmax(logits: &'a [E], log_sum_exp: E) -> Self {
        Self { logits, shift: log_sum_exp }
    }

    /// The score of a token that there is.
    pub(crate) fn get(self, token: u32) -> Option<f64> {
        self.logits.get(token as usize).map(|&logit| (logit - self.shift).f64())
    }

    /// Token by token.
    pub(crate) fn iter(self) -> impl Iterator<Item = f64> {
        self.logits.iter().map(move |&logit| (logit - self.shift).f64())
    }

    /// Pieces of so many tokens, each with its first token.
    pub(crate) fn chunks(self, tokens: usize) -> impl Iterator<Item = (u32, Self)> {
        let chunks = self.logits.chunks(tokens).map(move |logits| Self { logits, ..self });
        (0..).step_by(tokens).zip(chunks)
    }

    /// The largest score of each of the first N pieces of so many tokens.
    pub(crate) fn maxima<const N: usize>(self, tokens: usize) -> [f64; N] {
        let mut maxima = [E::neg_infinity(); N];
        row_maxima(self.logits, tokens, &mut maxima);
        maxima.map(|max| (max - self.shift).f64())
    }
}
