/// A generated sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// The tokens, without prompt, BOS and EOS.
    pub tokens: Vec<u32>,
    /// The ranking score: the log probability, in beam search divided by the length penalty.
    pub score: f64,
    /// The natural log probability of the tokens, and of EOS where it is finished, as the logits processors left it: of a beam
    /// search that of every candidate, else before those of sampling.
    pub log_probability: f64,
    /// Whether it ended with EOS or as its text says, rather than at the length limit.
    pub finished: bool,
}

/// A hypothesis that may be extended.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartialHypothesis {
    pub(crate) tokens: Vec<u32>,
    pub(crate) log_probability: f64,
    /// The index of the hypothesis that it extends.
    pub(crate) parent: usize,
}

impl PartialHypothesis {
    /// The hypothesis with one more token.
    pub(crate) fn extended(&self, token: u32, log_probability: f64, parent: usize) -> Self {
        let mut tokens = Vec::with_capacity(self.tokens.len() + 1);
        tokens.extend_from_slice(&self.tokens);
        tokens.push(token);
        Self { tokens, log_probability, parent }
    }
}
