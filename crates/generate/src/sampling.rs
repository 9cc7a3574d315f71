//! Greedy decoding and sampling: each text goes on by itself.

use crate::alternatives::Alternatives;
use crate::candidates::Candidate;
use crate::distribution::{argmax, largest};
use crate::hypothesis::{FinishReason, Hypothesis, PartialHypothesis};
use crate::mirostat::Mirostat;
use crate::scorer::{Row, Scorer, unit};
use crate::scores::Scores;
use crate::{DecodingOptions, Mode};
use descant_autograd::derive_seed;
use descant_kernels::{Real, log_sum_exp};
use rand_core::SeedableRng;
use rand_pcg::Pcg64;

/// The texts of one row.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    /// Those that go on: one before the first token.
    pub(crate) live: Vec<PartialHypothesis>,
    /// Of each that goes on, its number, random stream and state; of all before the first token.
    states: Vec<State>,
    /// By number.
    ended: Vec<Option<Hypothesis>>,
    /// Into which the only text is to part.
    alternatives: Option<Alternatives>,
}

#[derive(Clone, Debug)]
struct State {
    number: usize,
    rng: Pcg64,
    mirostat: Option<Mirostat>,
}

impl Texts {
    /// The texts of a row with this number; greedy decoding has one.
    pub(crate) fn new(options: &DecodingOptions, number: u64, first: PartialHypothesis) -> Self {
        let count = if options.config.mode() == Mode::Sampling { options.config.candidates() } else { 1 };
        let seed = derive_seed(options.config.seed.unwrap_or(1), number);
        let state = |number: usize| {
            let seed = if number == 0 { seed } else { derive_seed(seed, number as u64) };
            State { number, rng: Pcg64::seed_from_u64(seed), mirostat: Mirostat::new(&options.config) }
        };
        let (live, states) = (vec![first], (0..count).map(state).collect());
        Self { live, states, ended: vec![None; count], alternatives: Alternatives::new(&options.config) }
    }

    /// Extends each text by a token, and tells it of a single one.
    pub(crate) fn advance<E: Real>(
        &mut self,
        row: &Row,
        scorer: &mut Scorer,
        scores: &[Scores<'_, E>],
        options: &DecodingOptions,
    ) -> Option<u32> {
        let alternatives = self.alternatives(row, scorer, scores[0]);
        self.part();
        let (mut chosen, mut kept) = (None, 0);
        for i in 0..self.states.len() {
            let parent = i.min(scores.len() - 1);
            let (hypothesis, state, scores) = (&mut self.live[i], &mut self.states[i], scores[parent]);
            let next = match (&alternatives, options.config.mode()) {
                (Some(alternatives), _) => alternatives.get(i).copied(),
                (None, Mode::Sampling) => draw(state, row, hypothesis, scores, scorer),
                (None, _) => scorer.most_likely(row, hypothesis, scores, 1).first().copied(),
            };
            let reason = match next {
                // With every token forbidden or impossible, a text ends as it is.
                None => Some(hypothesis.stuck(options)),
                Some(Candidate { token, log_probability, .. }) if options.eos.contains(&token) => {
                    hypothesis.log_probability = log_probability;
                    Some(FinishReason::Eos)
                }
                Some(Candidate { token, log_probability, .. }) => {
                    chosen = Some(token);
                    hypothesis.push(token, log_probability, parent);
                    match hypothesis.stops(&row.prompt, options) {
                        true => Some(FinishReason::StopString),
                        false => (hypothesis.tokens.len() >= row.limit).then_some(FinishReason::Length),
                    }
                }
            };
            match reason {
                Some(reason) => self.end(i, reason),
                None => {
                    self.live.swap(kept, i);
                    self.states.swap(kept, i);
                    kept += 1;
                }
            }
        }
        self.live.truncate(kept);
        self.states.truncate(kept);
        chosen.filter(|_| options.config.candidates() == 1)
    }

    /// What the only text goes on with, as long as it is to part into alternatives: one token or none, or at the position where there are
    /// several, the alternatives, each of a text of its own.
    fn alternatives<E: Real>(
        &mut self,
        row: &Row,
        scorer: &mut Scorer,
        scores: Scores<'_, E>,
    ) -> Option<Vec<Candidate>> {
        let alternatives = self.alternatives?;
        let (text, state) = (&mut self.live[0], &self.states[0]);
        let before = text.log_probability;
        let possible = scorer.most_likely(row, text, scores, alternatives.count);
        let chosen = alternatives.of(possible, before).to_vec();
        if possible.len() > 1 {
            self.alternatives = None;
            self.states = (0..chosen.len()).map(|number| State { number, ..state.clone() }).collect();
            self.ended = vec![None; chosen.len()];
        }
        Some(chosen)
    }

    /// Before the first token, all texts are one.
    fn part(&mut self) {
        if let [first] = &self.live[..]
            && self.states.len() > 1
        {
            let first = first.clone();
            self.live.resize(self.states.len(), first);
        }
    }

    /// Ends the text at a place among those that go on.
    fn end(&mut self, place: usize, finish_reason: FinishReason) {
        let PartialHypothesis { tokens, log_probability, .. } = std::mem::take(&mut self.live[place]);
        let text = Hypothesis { tokens, score: log_probability, log_probability, finish_reason };
        self.ended[self.states[place].number] = Some(text);
    }

    /// Ends all texts as they are.
    pub(crate) fn stop(&mut self, reason: FinishReason) {
        self.part();
        (0..self.live.len()).for_each(|place| self.end(place, reason));
        self.live.clear();
        self.states.clear();
    }

    pub(crate) fn hypotheses(self) -> Vec<Hypothesis> {
        self.ended.into_iter().flatten().collect()
    }
}

/// Draws a token after a text, with the log probability of both.
fn draw<E: Real>(
    state: &mut State,
    row: &Row,
    hypothesis: &mut PartialHypothesis,
    scores: Scores<'_, E>,
    scorer: &mut Scorer,
) -> Option<Candidate> {
    let (logs, warped) = scorer.draws_from(row, hypothesis, scores, &mut state.rng);
    if let Some(mirostat) = &state.mirostat {
        mirostat.cut(warped);
    }
    let token = sample(warped, &mut state.rng)?;
    if let Some(mirostat) = &mut state.mirostat {
        mirostat.observe(warped[token] - log_sum_exp(warped));
    }
    let log_probability = hypothesis.log_probability + logs[token];
    Some(Candidate { parent: 0, token: u32::try_from(token).ok()?, log_probability })
}

/// Samples a token with a probability in proportion to the exponential of its score; none where all are forbidden. Where a score is
/// infinite, or none (of a processor of one's own), the token with the largest.
fn sample(scores: &[f64], rng: &mut Pcg64) -> Option<usize> {
    let largest = largest(scores);
    let weights = || scores.iter().map(|score| (score - largest).exp());
    let mut rest = unit(rng) * weights().sum::<f64>();
    if rest.is_nan() {
        return argmax(scores);
    }
    let reaches = |weight: f64| {
        rest -= weight;
        rest < 0.0
    };
    // The rounding of the sum may leave a little beyond the last one.
    let last = || scores.iter().rposition(|&score| score > f64::NEG_INFINITY);
    weights().position(reaches).or_else(last)
}
