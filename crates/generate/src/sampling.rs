//! Greedy decoding and sampling: each text goes on by itself.

use crate::distribution::{largest, log_sum_exp};
use crate::hypothesis::{FinishReason, Hypothesis, PartialHypothesis};
use crate::mirostat::Mirostat;
use crate::scorer::{Row, Scorer, unit};
use crate::scores::Scores;
use crate::{DecodingOptions, Mode};
use descant_autograd::derive_seed;
use descant_kernels::Real;
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
        Self { live: vec![first], states: (0..count).map(state).collect(), ended: vec![None; count] }
    }

    /// Extends each text by a token, and tells it of a single one.
    pub(crate) fn advance<E: Real>(
        &mut self,
        row: &Row,
        scorer: &mut Scorer,
        scores: &[Scores<'_, E>],
        options: &DecodingOptions,
    ) -> Option<u32> {
        let mut before = std::mem::take(&mut self.live);
        let mut chosen = None;
        for (i, mut state) in std::mem::take(&mut self.states).into_iter().enumerate() {
            // Before the first token, all are extensions of one.
            let parent = i.min(before.len() - 1);
            let (hypothesis, scores) = (&mut before[parent], scores[parent]);
            let next = match options.config.mode() {
                Mode::Sampling => draw(&mut state, row, hypothesis, scores, scorer),
                _ => scorer.most_likely(row, hypothesis, scores),
            };
            // With every token forbidden or impossible, a text ends as it is.
            let Some((token, log_probability)) = next else {
                let reason = hypothesis.stuck(options);
                self.end(state.number, hypothesis.tokens.clone(), hypothesis.log_probability, reason);
                continue;
            };
            if options.eos.contains(&token) {
                self.end(state.number, hypothesis.tokens.clone(), log_probability, FinishReason::Eos);
                continue;
            }
            chosen = Some(token);
            let mut longer = hypothesis.extended(token, log_probability, parent);
            let reason = match options.stops(&longer.tokens) && longer.may_end() {
                true => Some(FinishReason::StopString),
                false => (longer.tokens.len() >= row.limit).then_some(FinishReason::Length),
            };
            match reason {
                Some(reason) => self.end(state.number, longer.tokens, log_probability, reason),
                None => {
                    self.live.push(longer);
                    self.states.push(state);
                }
            }
        }
        chosen.filter(|_| self.ended.len() == 1)
    }

    fn end(&mut self, number: usize, tokens: Vec<u32>, log_probability: f64, finish_reason: FinishReason) {
        self.ended[number] = Some(Hypothesis { tokens, score: log_probability, log_probability, finish_reason });
    }

    /// Ends all texts as they are.
    pub(crate) fn stop(&mut self, reason: FinishReason) {
        let (live, states) = (std::mem::take(&mut self.live), std::mem::take(&mut self.states));
        for (i, state) in states.into_iter().enumerate() {
            // Before the first token, all are extensions of one.
            if let Some(PartialHypothesis { tokens, log_probability, .. }) = live.get(i).or(live.last()).cloned() {
                self.end(state.number, tokens, log_probability, reason);
            }
        }
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
) -> Option<(u32, f64)> {
    let (logs, warped) = scorer.draws_from(row, hypothesis, scores, &mut state.rng);
    if let Some(mirostat) = &state.mirostat {
        mirostat.cut(warped);
    }
    let token = sample(warped, &mut state.rng)?;
    if let Some(mirostat) = &mut state.mirostat {
        mirostat.observe(warped[token] - log_sum_exp(warped));
    }
    Some((u32::try_from(token).ok()?, hypothesis.log_probability + logs[token]))
}

/// Samples a token with a probability in proportion to the exponential of its score; none where all are forbidden.
fn sample(scores: &[f64], rng: &mut Pcg64) -> Option<usize> {
    let largest = largest(scores);
    let weights = || scores.iter().map(|score| (score - largest).exp());
    let mut rest = unit(rng) * weights().sum::<f64>();
    let reaches = |weight: f64| {
        rest -= weight;
        rest < 0.0
    };
    // The rounding of the sum may leave a little beyond the last one.
    let last = || scores.iter().rposition(|&score| score > f64::NEG_INFINITY);
    if largest == f64::NEG_INFINITY { None } else { weights().position(reaches).or_else(last) }
}
