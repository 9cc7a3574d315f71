use crate::beam_search::PartialHypothesis;
use crate::top_k::{Candidate, TopK};
use crate::{DecodingOptions, Strategy};
use descant_tensor::Element;
use rand_core::Rng;
use rand_pcg::Pcg64;

/// Selects tokens by a [`Strategy`]; it reuses its buffers.
#[derive(Debug)]
pub(crate) struct TokenSelector {
    strategy: Strategy,
    /// In order, each once.
    forbidden: Vec<u32>,
    /// How many EOS candidates each hypothesis of a beam may have.
    ends: usize,
    top: TopK,
    /// Candidates for sampling, and their weights.
    pool: Vec<(Candidate, f64)>,
    sampled: Option<Candidate>,
}

impl TokenSelector {
    pub(crate) fn new(options: &DecodingOptions) -> Self {
        let mut forbidden = options.forbidden.clone();
        forbidden.sort_unstable();
        forbidden.dedup();
        let (strategy, ends) = (options.strategy, options.eos.len());
        Self { strategy, forbidden, ends, top: TopK::default(), pool: Vec::new(), sampled: None }
    }

    /// The candidates that extend one row's hypotheses, the likeliest first. For a beam these are enough that `width` remain
    /// if all EOS candidates are among them; otherwise one. `scores[live, V]` are log probabilities, renormalised over the
    /// tokens that are not forbidden.
    pub(crate) fn select<E: Element>(
        &mut self,
        live: &[PartialHypothesis],
        scores: &[E],
        rng: &mut Pcg64,
    ) -> &[Candidate] {
        self.top.clear(match self.strategy {
            Strategy::Greedy => 1,
            Strategy::Beam { width, .. } => width.saturating_mul(1 + self.ends.max(1)),
            Strategy::Sample { top_k, .. } => top_k.unwrap_or(usize::MAX),
        });
        let rows = scores.chunks_exact((scores.len() / live.len()).max(1));
        for (parent, (hypothesis, row)) in live.iter().zip(rows).enumerate() {
            let before = hypothesis.log_probability - log_allowed_mass(row, &self.forbidden);
            self.top.push_row(parent, before, row, &self.forbidden);
        }
        match self.strategy {
            Strategy::Greedy | Strategy::Beam { .. } => self.top.sorted(),
            Strategy::Sample { temperature, top_k, top_p, .. } => {
                let candidates = if top_k.is_some() { self.top.sorted() } else { self.top.all() };
                weigh(candidates, temperature, &mut self.pool);
                if let Some(top_p) = top_p {
                    keep_nucleus(&mut self.pool, top_p);
                }
                self.sampled = sample(&self.pool, rng);
                self.sampled.as_slice()
            }
        }
    }
}

/// The log probability mass of the tokens that are not forbidden; 0 where they have none.
fn log_allowed_mass<E: Element>(scores: &[E], forbidden: &[u32]) -> f64 {
    let gone: f64 =
        forbidden.iter().filter_map(|&token| scores.get(token as usize)).map(|score| score.f64().exp()).sum();
    if gone < 0.5 {
        return (-gone).ln_1p();
    }
    // 1 - gone would cancel: sum up the rest.
    let is_left = |(token, _): &(u32, &E)| forbidden.binary_search(token).is_err();
    let left: f64 = (0..).zip(scores).filter(is_left).map(|(_, score)| score.f64().exp()).sum();
    if left > 0.0 { left.ln() } else { 0.0 }
}

/// `e^(log p / temperature)` of every candidate, the largest being 1.
fn weigh(candidates: &[Candidate], temperature: f64, pool: &mut Vec<(Candidate, f64)>) {
    let largest = candidates.iter().map(|c| c.log_probability).fold(f64::NEG_INFINITY, f64::max);
    let weight = |c: &Candidate| ((c.log_probability - largest) / temperature).exp();
    pool.clear();
    pool.extend(candidates.iter().map(|c| (*c, weight(c))));
}

/// Nucleus: keeps the fewest likeliest candidates that together have at least the share `top_p` of all weight.
fn keep_nucleus(pool: &mut Vec<(Candidate, f64)>, top_p: f64) {
    let total: f64 = pool.iter().map(|(_, weight)| weight).sum();
    // Those below this share have less than `1 - top_p` even together: they are outside, and need no sorting.
    let least = (1.0 - top_p) * total / pool.len() as f64;
    pool.retain(|&(_, weight)| weight >= least);
    pool.sort_unstable_by(|(a, x), (b, y)| y.total_cmp(x).then(a.token.cmp(&b.token)));
    let mut rest = top_p * total;
    let reaches = |&(_, weight): &(Candidate, f64)| {
        rest -= weight;
        rest <= 0.0
    };
    if let Some(last) = pool.iter().position(reaches) {
        pool.truncate(last + 1);
    }
}

/// Samples a candidate with a probability in proportion to its weight; none where there is none.
fn sample(pool: &[(Candidate, f64)], rng: &mut Pcg64) -> Option<Candidate> {
    let total: f64 = pool.iter().map(|(_, weight)| weight).sum();
    let unit = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let mut rest = unit * total;
    let reaches = |&&(_, weight): &&(Candidate, f64)| {
        rest -= weight;
        rest < 0.0
    };
    // The rounding of the sum may leave a little beyond the last one.
    pool.iter().find(reaches).or(pool.last()).map(|&(candidate, _)| candidate)
}
