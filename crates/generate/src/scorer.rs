use crate::candidates::{Candidate, TopK, likeliest_first};
use crate::distribution::argmax;
use crate::hypothesis::PartialHypothesis;
use crate::logits_processor::Processor;
use crate::processors;
use crate::scores::Scores;
use crate::scratch::Scratch;
use crate::{Context, DecodingOptions, Mode};
use descant_kernels::{Real, log_sum_exp};
use rand_core::Rng;
use rand_pcg::Pcg64;

/// What every hypothesis of a row begins with, and the most tokens that it may have.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) source: Option<Vec<u32>>,
    pub(crate) prompt: Vec<u32>,
    pub(crate) limit: usize,
}

/// What processors read beside the tokens of a text.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    /// Whether the constraints let the text end after them.
    may_end: bool,
    /// The random number of the step.
    draw: f64,
}

/// Applies the logits processors to the scores of hypotheses, row by row of one thread; it reuses its buffers.
#[derive(Debug)]
pub(crate) struct Scorer {
    mode: Mode,
    guided: bool,
    /// In order, each once.
    forbidden: Vec<u32>,
    eos: Vec<u32>,
    always: Vec<Processor>,
    sampling: Vec<Processor>,
    /// By which these divide scores.
    temperature: f64,
    /// Whether a processor reads the random number of the step.
    draws: bool,
    top: TopK,
    /// The most likely tokens after one hypothesis of a beam search.
    own: TopK,
    /// Candidates of a beam search beside the most likely ones.
    further: Vec<Candidate>,
    /// Why a constraint failed.
    failed: Option<String>,
    scores: Vec<f64>,
    warped: Vec<f64>,
    tokens: Vec<u32>,
    step: Step,
    /// Of the processors.
    scratch: Scratch,
}

impl Scorer {
    pub(crate) fn new(options: &DecodingOptions) -> Self {
        let mut forbidden = options.forbidden.clone();
        forbidden.sort_unstable();
        forbidden.dedup();
        let [always, sampling] = processors::build(options);
        let draws = options.config.xtc_probability.is_some_and(|probability| probability > 0.0)
            || !options.processors.is_empty();
        let (top, own, mode) = (TopK::default(), TopK::default(), options.config.mode());
        let (further, scores, warped, tokens) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let eos = options.eos.clone();
        let temperature = options.config.temperature.filter(|_| options.config.do_sample == Some(true)).unwrap_or(1.0);
        Self {
            mode,
            guided: options.config.guidance().is_some(),
            forbidden,
            eos,
            always,
            sampling,
            temperature,
            draws,
            top,
            own,
            further,
            failed: None,
            scores,
            warped,
            tokens,
            step: Step::default(),
            scratch: Scratch::default(),
        }
    }

    /// Whether it is to be given logits, rather than log probabilities: of a beam search those that guidance gives, which are not
    /// renormalised, as in `transformers`.
    pub(crate) fn reads_logits(&self) -> bool {
        if self.mode == Mode::Beam { self.guided } else { !self.always.is_empty() }
    }

    /// Whether it is to be given the hidden states, those of prompts included.
    pub(crate) fn reads_hidden(&self) -> bool {
        self.mode == Mode::Contrastive
    }

    /// Why a constraint failed, once.
    pub(crate) fn take_failure(&mut self) -> Option<String> {
        self.failed.take()
    }

    /// The `k` most likely tokens after one hypothesis, with the log probability of both; fewer where others are forbidden.
    pub(crate) fn most_likely<E: Real>(
        &mut self,
        row: &Row,
        hypothesis: &mut PartialHypothesis,
        scores: Scores<'_, E>,
        k: usize,
    ) -> &[Candidate] {
        self.top.clear(k);
        if self.is_plain(hypothesis) {
            let before = hypothesis.log_probability - log_allowed_mass(scores, &self.forbidden);
            self.top.push_row(0, before, scores, &self.forbidden);
        } else {
            let total = self.process(row, hypothesis, scores);
            self.top.push_row(0, hypothesis.log_probability - total, Scores::logits(&self.scores), &[]);
        }
        self.top.sorted()
    }

    /// The `k` most likely tokens after one hypothesis, with their log probabilities alone.
    pub(crate) fn likeliest<E: Real>(
        &mut self,
        row: &Row,
        hypothesis: &mut PartialHypothesis,
        scores: Scores<'_, E>,
        k: usize,
    ) -> &[Candidate] {
        let total = self.process(row, hypothesis, scores);
        self.top.clear(k);
        self.top.push_row(0, -total, Scores::logits(&self.scores), &[]);
        self.top.sorted()
    }

    /// The log probabilities of all tokens after one hypothesis, and the scores to draw by: those that the processors of
    /// sampling left.
    pub(crate) fn draws_from<E: Real>(
        &mut self,
        row: &Row,
        hypothesis: &mut PartialHypothesis,
        scores: Scores<'_, E>,
        rng: &mut Pcg64,
    ) -> (&[f64], &mut [f64]) {
        self.step.draw = if self.draws { unit(rng) } else { 0.0 };
        let total = self.process(row, hypothesis, scores);
        self.warped.clone_from(&self.scores);
        self.scores.iter_mut().for_each(|score| *score -= total);
        warp(&self.sampling, row, (&self.tokens, self.step), &mut self.warped, &self.scratch);
        (&self.scores, &mut self.warped)
    }

    /// The candidates that extend the hypotheses of a beam, the most likely first: the `count` most likely ones, and those that
    /// constraints want. `scores` are log probabilities, of each hypothesis. The tokens of `chosen` lose a penalty each time that they stand there. With a generator of random
    /// numbers, candidates are drawn.
    pub(crate) fn candidates<E: Real>(
        &mut self,
        row: &Row,
        live: &mut [PartialHypothesis],
        scores: &[Scores<'_, E>],
        count: usize,
        chosen: (&[u32], f64),
        mut rng: Option<&mut Pcg64>,
    ) -> &[Candidate] {
        // Candidates are drawn by the numbers after it.
        self.step.draw = rng.as_deref_mut().filter(|_| self.draws).map_or(0.0, unit);
        self.top.clear(if rng.is_some() { usize::MAX } else { count });
        self.further.clear();
        // Where none has anything left to meet, all are as far, and the likeliest of all are the beam.
        let any_wanted = live.iter_mut().any(|one| !one.constraints.wanted(&one.tokens).is_empty());
        for (parent, (hypothesis, &scores)) in live.iter_mut().zip(scores).enumerate() {
            let before = hypothesis.log_probability;
            if self.is_plain(hypothesis) && chosen.0.is_empty() {
                let before = before - log_allowed_mass(scores, &self.forbidden);
                self.top.push_row(parent, before, scores, &self.forbidden);
                continue;
            }
            self.load(row, hypothesis, scores);
            for &token in chosen.0 {
                if let Some(score) = self.scores.get_mut(token as usize) {
                    *score -= chosen.1;
                }
            }
            warp(&self.always, row, (&self.tokens, self.step), &mut self.scores, &self.scratch);
            self.constrain(hypothesis);
            if any_wanted {
                self.own.clear(if rng.is_some() { 1 } else { count });
                self.own.push_row(parent, 0.0, Scores::logits(&self.scores), &[]);
                self.warped.clone_from(&self.scores);
            }
            warp(&self.sampling, row, (&self.tokens, self.step), &mut self.scores, &self.scratch);
            if any_wanted {
                let mut wanted = hypothesis.constraints.wanted(&hypothesis.tokens);
                wanted.extend(self.own.sorted().iter().map(|candidate| candidate.token));
                self.consider(parent, before, wanted);
            }
            self.top.push_row(parent, before, Scores::logits(&self.scores), &[]);
        }
        let best = match rng {
            Some(rng) => self.top.drawn(count, || unit(rng)),
            None => self.top.sorted(),
        };
        if self.further.is_empty() {
            return best;
        }
        self.further.extend_from_slice(best);
        self.further.sort_unstable_by(likeliest_first);
        // What is among both has the same log probability.
        self.further.dedup_by_key(|one| (one.parent, one.token));
        &self.further
    }

    /// Whether the scores of a hypothesis are taken as they are, but for forbidden tokens.
    fn is_plain(&self, hypothesis: &PartialHypothesis) -> bool {
        self.always.is_empty() && self.sampling.is_empty() && hypothesis.constraints.is_empty()
    }

    /// Adds tokens after a hypothesis to the candidates: those that are wanted, and its own likeliest, as a hypothesis that has what others
    /// still have to meet has paid for it, and its tokens are not among the likeliest of all. What the processors of sampling removed has the score that they
    /// would have given it: `warped` holds the scores before them.
    fn consider(&mut self, parent: usize, before: f64, mut wanted: Vec<u32>) {
        wanted.sort_unstable();
        wanted.dedup();
        let scaled = |token: u32| Some(self.warped.get(token as usize)? / self.temperature);
        let kept = argmax(&self.scores).and_then(|kept| u32::try_from(kept).ok()).filter(|_| !wanted.is_empty());
        let shift = kept.and_then(|kept| Some(self.scores.get(kept as usize)? - scaled(kept)?)).unwrap_or(0.0);
        let score = |token: &u32| match self.scores.get(*token as usize).copied()? {
            f64::NEG_INFINITY => Some(scaled(*token)? + shift),
            score => Some(score),
        };
        let is_allowed = |(_, score): &(u32, f64)| *score > f64::NEG_INFINITY;
        let scored = wanted.into_iter().filter_map(|token| Some((token, score(&token)?))).filter(is_allowed);
        let candidate = |(token, score)| Candidate { parent, token, log_probability: before + score };
        self.further.extend(scored.map(candidate));
    }

    /// Forbids what the constraints of a hypothesis do not allow.
    fn constrain(&mut self, hypothesis: &mut PartialHypothesis) {
        if hypothesis.constraints.is_empty() {
            return;
        }
        if let Err(reason) = hypothesis.constraints.restrict(&hypothesis.tokens, &self.eos, &mut self.scores) {
            self.failed.get_or_insert(reason);
        }
    }

    /// Loads the scores of a hypothesis, without forbidden tokens; log probabilities are renormalised over the others.
    fn load<E: Real>(&mut self, row: &Row, hypothesis: &mut PartialHypothesis, scores: Scores<'_, E>) {
        self.scores.clear();
        self.scores.extend(scores.iter());
        for &token in &self.forbidden {
            if let Some(score) = self.scores.get_mut(token as usize) {
                *score = f64::NEG_INFINITY;
            }
        }
        if self.mode == Mode::Beam {
            let mass = log_allowed_mass(scores, &self.forbidden);
            self.scores.iter_mut().for_each(|score| *score -= mass);
        }
        self.tokens.clear();
        self.tokens.extend_from_slice(&row.prompt);
        self.tokens.extend_from_slice(&hypothesis.tokens);
        self.step.may_end = hypothesis.may_end();
    }

    /// Leaves the processed scores of a hypothesis, and returns the logarithm of the sum of their exponentials.
    fn process<E: Real>(&mut self, row: &Row, hypothesis: &mut PartialHypothesis, scores: Scores<'_, E>) -> f64 {
        self.load(row, hypothesis, scores);
        warp(&self.always, row, (&self.tokens, self.step), &mut self.scores, &self.scratch);
        self.constrain(hypothesis);
        match log_sum_exp(&self.scores) {
            total if total.is_finite() => total,
            // Nothing is left, or a bias is as good as infinite.
            _ => 0.0,
        }
    }
}

fn warp(processors: &[Processor], row: &Row, (tokens, step): (&[u32], Step), scores: &mut [f64], scratch: &Scratch) {
    let (source, prompt, limit) = (row.source.as_deref(), row.prompt.len(), row.limit);
    let Step { may_end, draw } = step;
    let context = Context { source, tokens, prompt, limit, may_end, draw, scratch };
    processors.iter().for_each(|processor| processor.process(&context, scores));
}

/// The log probability mass of the tokens that are not forbidden; 0 where they have none.
fn log_allowed_mass<E: Real>(scores: Scores<'_, E>, forbidden: &[u32]) -> f64 {
    let gone: f64 = forbidden.iter().filter_map(|&token| scores.get(token)).map(f64::exp).sum();
    if gone < 0.5 {
        return (-gone).ln_1p();
    }
    // 1 - gone would cancel: sum up the rest.
    let is_left = |(token, _): &(u32, f64)| forbidden.binary_search(token).is_err();
    let left: f64 = (0..).zip(scores.iter()).filter(is_left).map(|(_, score)| score.exp()).sum();
    if left > 0.0 { left.ln() } else { 0.0 }
}

/// A random number from 0 to below 1.
pub(crate) fn unit(rng: &mut Pcg64) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GenerationConfig;
    use rand_core::SeedableRng;

    #[test]
    fn candidates_are_drawn_by_other_numbers_than_that_of_xtc() {
        const COUNT: u64 = 20_000;
        let config = GenerationConfig::beam(2).with(|c| {
            (c.do_sample, c.xtc_probability, c.xtc_threshold) = (Some(true), Some(0.5), Some(0.15));
        });
        let mut scorer = Scorer::new(&DecodingOptions::new(config, vec![0], Vec::new()));
        let row = Row { source: None, prompt: vec![0], limit: 9 };
        let scores = [0.4_f64, 0.3, 0.2, 0.1].map(f64::ln);
        let mut found = [0.0; 4];
        for seed in 0..COUNT {
            let mut live = [PartialHypothesis::default()];
            let rng = &mut Pcg64::seed_from_u64(seed);
            let drawn = scorer.candidates(&row, &mut live, &[Scores::logits(&scores)], 1, (&[], 0.0), Some(rng));
            found[drawn[0].token as usize] += 1.0 / COUNT as f64;
        }
        // Half of them of all tokens, half of the two that XTC leaves.
        for (found, expected) in found.iter().zip([0.2, 0.15, 0.1 + 1.0 / 3.0, 0.05 + 1.0 / 6.0]) {
            assert!((found - expected).abs() < 0.02, "{found} for {expected}");
        }
    }
}
