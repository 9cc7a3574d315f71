use crate::Strategy;
use crate::search::Live;
use crate::top::{Candidate, Top};
use descant_tensor::Element;
use rand_core::Rng;
use rand_pcg::Pcg64;

/// Chooses tokens by a [`Strategy`], in memory that is used again.
#[derive(Debug)]
pub(crate) struct Chooser<'a> {
    strategy: Strategy,
    forbidden: &'a [u32],
    top: Top,
    /// The candidates of a draw and their weights.
    pool: Vec<(Candidate, f64)>,
    drawn: Option<Candidate>,
}

impl<'a> Chooser<'a> {
    pub(crate) fn new(strategy: Strategy, forbidden: &'a [u32]) -> Self {
        Self { strategy, forbidden, top: Top::default(), pool: Vec::new(), drawn: None }
    }

    /// The continuations of one source's hypotheses to go on with, the likeliest first: twice as many as a beam is
    /// wide, since up to half may be ends; otherwise one. `scores[live, V]` are log probabilities.
    pub(crate) fn choose<E: Element>(&mut self, live: &[Live], scores: &[E], rng: &mut Pcg64) -> &[Candidate] {
        self.top.clear(match self.strategy {
            Strategy::Greedy => 1,
            Strategy::Beam { width, .. } => 2 * width,
            Strategy::Sample { top_k, .. } => top_k.unwrap_or(usize::MAX),
        });
        let rows = scores.chunks_exact((scores.len() / live.len()).max(1));
        for (parent, (hypothesis, row)) in live.iter().zip(rows).enumerate() {
            self.top.show(parent, hypothesis.log_probability, row, self.forbidden);
        }
        match self.strategy {
            Strategy::Greedy | Strategy::Beam { .. } => self.top.sorted(),
            Strategy::Sample { temperature, top_k, top_p, .. } => {
                let candidates = if top_k.is_some() { self.top.sorted() } else { self.top.all() };
                weigh(candidates, temperature, &mut self.pool);
                if let Some(top_p) = top_p {
                    keep_nucleus(&mut self.pool, top_p);
                }
                self.drawn = draw(&self.pool, rng);
                self.drawn.as_slice()
            }
        }
    }
}

/// `e^(log p / temperature)` of every candidate, the largest being 1.
fn weigh(candidates: &[Candidate], temperature: f64, pool: &mut Vec<(Candidate, f64)>) {
    let largest = candidates.iter().map(|c| c.log_probability).fold(f64::NEG_INFINITY, f64::max);
    let weight = |c: &Candidate| ((c.log_probability - largest) / temperature).exp();
    pool.clear();
    pool.extend(candidates.iter().map(|c| (*c, weight(c))));
}

/// Keeps the fewest likeliest candidates that together have at least the share `top_p` of all weight.
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

/// One of the candidates, each with a probability in proportion to its weight; none where there is none.
fn draw(pool: &[(Candidate, f64)], rng: &mut Pcg64) -> Option<Candidate> {
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
