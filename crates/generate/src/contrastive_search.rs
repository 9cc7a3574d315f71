use crate::DecodingOptions;
use crate::hypothesis::{FinishReason, Hypothesis, PartialHypothesis};
use crate::scorer::{Row, Scorer};
use crate::scores::Scores;
use descant_kernels::Real;

/// Contrastive search (Su et al. 2022, arXiv 2202.06417) for one row: of the k most likely tokens, the one whose probability is
/// high and whose hidden state is least like those before it. The model reads all k, then one is chosen.
#[derive(Clone, Debug)]
pub(crate) struct ContrastiveSearch {
    /// The text with each of the k tokens, which the model is to read; the text alone before the first token.
    pub(crate) live: Vec<PartialHypothesis>,
    /// Of each of them, the probability of its last token.
    probabilities: Vec<f64>,
    /// The hidden states of the prompt and the text, of length 1.
    history: Vec<Vec<f64>>,
    text: PartialHypothesis,
    /// Tokens that the text has had from the start.
    begun: usize,
    ended: Option<Hypothesis>,
    k: usize,
    alpha: f64,
}

impl ContrastiveSearch {
    pub(crate) fn new(options: &DecodingOptions, first: PartialHypothesis) -> Self {
        let (k, alpha) = (options.config.top_k.unwrap_or(1), options.config.penalty_alpha.unwrap_or_default());
        let (begun, live, text) = (first.tokens.len(), vec![first.clone()], first);
        Self { live, probabilities: Vec::new(), history: Vec::new(), text, begun, ended: None, k, alpha }
    }

    /// Whether the model reads tokens of which one is chosen, rather than the prompt and what was begun.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.live.iter().any(|live| live.tokens.len() > self.begun)
    }

    /// Takes the hidden state of a token of the prompt. When a full context is read anew, its states are known.
    pub(crate) fn observe(&mut self, state: Vec<f64>) {
        if !self.is_on_trial() {
            self.history.push(normalized(state));
        }
    }

    /// Chooses one of the tokens that the model has read, and finds the next k.
    pub(crate) fn advance<E: Real>(
        &mut self,
        row: &Row,
        scorer: &mut Scorer,
        (scores, hidden): (&[Scores<'_, E>], Vec<Vec<f64>>),
        options: &DecodingOptions,
    ) -> Option<u32> {
        let live = std::mem::take(&mut self.live);
        let states: Vec<Vec<f64>> = hidden.into_iter().map(normalized).collect();
        let likeness = |state: &Vec<f64>| {
            let cosines = self.history.iter().map(|other| other.iter().zip(state).map(|(a, b)| a * b).sum());
            cosines.fold(f64::NEG_INFINITY, f64::max)
        };
        let value =
            |(state, probability): (&Vec<f64>, &f64)| (1.0 - self.alpha) * probability - self.alpha * likeness(state);
        let values: Vec<f64> = states.iter().zip(&self.probabilities).map(value).collect();
        // Before the first token there is nothing to choose. Among equals the first.
        let best = (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best });
        let chosen = live[best].tokens[self.begun..].last().copied();
        let is_eos = chosen.is_some_and(|token| options.eos.contains(&token));
        self.text = live.into_iter().nth(best).unwrap_or_default();
        // Of the prompt, all states are known.
        self.history.extend(states.into_iter().nth(best).filter(|_| chosen.is_some()));
        if is_eos {
            self.text.tokens.pop();
            self.stop(FinishReason::Eos);
        } else if chosen.is_some() && self.text.stops(&row.prompt, options) {
            self.stop(FinishReason::StopString);
        } else if self.text.tokens.len() >= row.limit {
            self.stop(FinishReason::Length);
        } else {
            let next = scorer.likeliest(row, &mut self.text, scores[best], self.k);
            self.probabilities = next.iter().map(|candidate| candidate.log_probability.exp()).collect();
            let log = self.text.log_probability;
            let longer = next.iter().map(|next| self.text.extended(next.token, log + next.log_probability, best));
            self.live = longer.collect();
            if self.live.is_empty() {
                let reason = self.text.stuck(options);
                self.stop(reason);
            }
        }
        chosen.filter(|_| !is_eos)
    }

    /// Ends the text as it is.
    pub(crate) fn stop(&mut self, finish_reason: FinishReason) {
        self.live.clear();
        let PartialHypothesis { tokens, log_probability, .. } = std::mem::take(&mut self.text);
        self.ended = Some(Hypothesis { tokens, score: log_probability, log_probability, finish_reason });
    }

    pub(crate) fn hypotheses(self) -> Vec<Hypothesis> {
        self.ended.into_iter().collect()
    }
}

/// A vector of length 1 in the same direction.
fn normalized(mut vector: Vec<f64>) -> Vec<f64> {
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    vector.iter_mut().for_each(|x| *x /= norm);
    vector
}
