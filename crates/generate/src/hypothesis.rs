use crate::DecodingOptions;
use crate::constraint::ConstraintStates;
use crate::decoding_options::Reranker;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Why a text ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The model generated EOS.
    Eos,
    /// It is all that its constraints allow, and the model has no EOS.
    Complete,
    /// It has one of the stop strings.
    StopString,
    /// It has the maximum length.
    #[default]
    Length,
    /// Every next token is forbidden or impossible.
    NoToken,
    /// The same, and its constraints do not let it end: it is none of their texts.
    Unmet,
    /// It was cancelled.
    Cancelled,
}

impl FinishReason {
    /// Whether the text is whole, rather than cut off.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Eos | Self::Complete | Self::StopString)
    }
}

/// A generated sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// The tokens, without prompt, BOS and EOS.
    pub tokens: Vec<u32>,
    /// The ranking score: the log probability, in beam search divided by the length penalty, plus the coverage penalty where there is one.
    pub score: f64,
    /// The natural log probability of the tokens, and of EOS where it is finished, as the logits processors left it: of a beam
    /// search that of every candidate, else before those of sampling.
    pub log_probability: f64,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

impl Hypothesis {
    /// Whether it ended with EOS or a stop string, rather than being cut off.
    pub fn is_finished(&self) -> bool {
        self.finish_reason.is_finished()
    }
}

/// The texts that are returned of those that a search has found: the best. A reranker ranks finished ones before the others, and none
/// comes twice then.
pub(crate) fn returned(mut found: Vec<Hypothesis>, options: &DecodingOptions) -> Vec<Hypothesis> {
    if let Some(Reranker(rank)) = &options.reranker {
        let candidates: Vec<(&[u32], f64)> = found.iter().map(|one| (&one.tokens[..], one.log_probability)).collect();
        let scores = rank(&candidates);
        found.iter_mut().zip(scores).for_each(|(one, score)| one.score = score);
        found.sort_by(|a, b| b.is_finished().cmp(&a.is_finished()).then(b.score.total_cmp(&a.score)));
        let mut seen = HashSet::new();
        found.retain(|one| seen.insert(one.tokens.clone()));
    }
    found.truncate(options.config.num_return_sequences());
    found
}

/// A hypothesis that may be extended.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartialHypothesis {
    pub(crate) tokens: Vec<u32>,
    pub(crate) log_probability: f64,
    /// The index of the hypothesis that it extends.
    pub(crate) parent: usize,
    pub(crate) constraints: ConstraintStates,
    /// Whether a token of it has met the stop condition.
    has_stopped: bool,
    /// The attention that each token of the source has got from its tokens, for the coverage penalty; empty without one.
    pub(crate) coverage: Vec<f64>,
}

impl PartialHypothesis {
    /// Gets one more token.
    pub(crate) fn push(&mut self, token: u32, log_probability: f64, parent: usize) {
        self.tokens.push(token);
        (self.log_probability, self.parent) = (log_probability, parent);
    }

    /// Becomes another one with one more token, in the memory that it has.
    pub(crate) fn assign(&mut self, other: &Self, token: u32, log_probability: f64, parent: usize) {
        self.tokens.clear();
        self.tokens.extend_from_slice(&other.tokens);
        self.constraints.clone_from(&other.constraints);
        self.has_stopped = other.has_stopped;
        self.coverage.clone_from(&other.coverage);
        self.push(token, log_probability, parent);
    }

    /// The hypothesis with one more token.
    pub(crate) fn extended(&self, token: u32, log_probability: f64, parent: usize) -> Self {
        let mut longer = Self::default();
        longer.assign(self, token, log_probability, parent);
        longer
    }

    /// The first one of a row, of the tokens that its text has already, one of which may have met the stop condition.
    pub(crate) fn first(
        constraints: ConstraintStates,
        tokens: Vec<u32>,
        log_probability: f64,
        has_stopped: bool,
    ) -> Self {
        Self { tokens, log_probability, constraints, has_stopped, ..Self::default() }
    }

    /// Whether the constraints let it end here.
    pub(crate) fn may_end(&mut self) -> bool {
        self.constraints.is_empty() || self.constraints.may_end(&self.tokens)
    }

    /// Whether the stop condition ends it with the token that it has just got, or one before, where the constraints let it.
    pub(crate) fn stops(&mut self, prompt: &[u32], options: &DecodingOptions) -> bool {
        self.has_stopped |= options.stops(prompt, &self.tokens);
        self.has_stopped && self.may_end()
    }

    /// Why it ends, if no token can extend it.
    pub(crate) fn stuck(&mut self, options: &DecodingOptions) -> FinishReason {
        match self.may_end() {
            false => FinishReason::Unmet,
            true if !options.has_eos() && !self.constraints.is_empty() => FinishReason::Complete,
            true => FinishReason::NoToken,
        }
    }
}
