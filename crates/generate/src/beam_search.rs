use crate::top_k::Candidate;
use crate::{DecodingOptions, Ranking};
use std::cmp::Ordering;

/// A generated sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// The tokens, without prompt, BOS and EOS.
    pub tokens: Vec<u32>,
    /// The ranking score: the log probability, in beam search divided by the length penalty.
    pub score: f64,
    /// The natural log probability of the tokens, and of EOS where it is finished, given that no forbidden token comes.
    pub log_probability: f64,
    /// Whether it ended with EOS, rather than at the length limit.
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

/// The search for one row; greedy and sampling are a beam of one.
#[derive(Debug)]
pub(crate) struct BeamSearch {
    /// The beam, all of one length; empty once the search has stopped.
    pub(crate) live: Vec<PartialHypothesis>,
    /// The best ended hypotheses, in order.
    ended: Vec<Hypothesis>,
    eos: Vec<u32>,
    /// The most tokens, EOS included.
    limit: usize,
    width: usize,
    n_best: usize,
    length_penalty: f64,
    ranking: Ranking,
    /// Whether EOS is forced at the limit.
    forced_end: bool,
    /// Generated tokens before the search: a decoder's forced prefix.
    before: usize,
}

impl BeamSearch {
    /// A search for a source of this length, or for none; `room` is how many tokens the model has positions for.
    pub(crate) fn new(options: &DecodingOptions, source: Option<usize>, room: Option<usize>) -> Self {
        let (width, n_best, length_penalty) = options.beam();
        let limit = options.limit(source).min(room.unwrap_or(usize::MAX));
        // What follows a decoder's start token counts as generated, though it is forced.
        let before = if source.is_some() { options.start.len().saturating_sub(1) } else { 0 };
        let limit = limit.saturating_sub(before);
        let (eos, ranking) = (options.eos.clone(), options.ranking);
        let forced_end = options.forced_end && !eos.is_empty();
        let live = vec![PartialHypothesis::default()];
        let mut search =
            Self { live, ended: Vec::new(), eos, limit, width, n_best, length_penalty, ranking, forced_end, before };
        if limit <= usize::from(forced_end) {
            search.live.clear();
            search.end(Vec::new(), 0.0, forced_end);
        }
        search
    }

    /// Extends the beam by the best candidates, and prunes it.
    ///
    /// Of the `width` best, those with EOS are finished; the `width` best others form the beam. A hypothesis is pruned once
    /// it can no longer beat the `n_best`-th finished one at any length. The search stops with an empty beam: a longer
    /// search would return the same.
    pub(crate) fn advance(&mut self, candidates: &[Candidate]) {
        let parents = std::mem::take(&mut self.live);
        // At the limit all hypotheses end, up to the beam width.
        let is_last = parents.first().is_some_and(|live| live.tokens.len() + 1 >= self.limit);
        let most = if is_last && self.ranking == Ranking::Tokens { self.width } else { candidates.len() };
        for (rank, candidate) in candidates.iter().enumerate().take(most) {
            let &Candidate { parent, token, log_probability } = candidate;
            let tokens = &parents[parent].tokens;
            if self.eos.contains(&token) {
                if rank < self.width {
                    self.end(tokens.clone(), log_probability, true);
                }
            } else if self.live.len() < self.width {
                let mut longer = Vec::with_capacity(tokens.len() + 1);
                longer.extend_from_slice(tokens);
                longer.push(token);
                self.live.push(PartialHypothesis { tokens: longer, log_probability, parent });
            }
        }
        // With every token forbidden or impossible, the hypotheses end as they are.
        let stuck = if candidates.is_empty() { parents } else { Vec::new() };
        let forced = usize::from(self.forced_end);
        let full = self.live.first().is_some_and(|live| live.tokens.len() + forced >= self.limit);
        let (cut, forced) = if full { (std::mem::take(&mut self.live), self.forced_end) } else { (stuck, false) };
        cut.into_iter().for_each(|live| self.end(live.tokens, live.log_probability, forced));
        match self.ranking {
            Ranking::Gnmt => {
                if let Some(worst) = self.ended.get(self.n_best - 1).map(|hypothesis| hypothesis.score) {
                    // An upper bound: log probabilities only fall, and the longest have the largest divisor.
                    let divisor = self.divisor(self.limit);
                    self.live.retain(|live| live.log_probability / divisor > worst);
                }
            }
            Ranking::Tokens => {
                if let (Some(worst), Some(best)) = (self.ended.get(self.width - 1), self.live.first()) {
                    let score = best.log_probability / self.divisor(best.tokens.len());
                    if score <= worst.score {
                        self.live.clear();
                    }
                }
            }
        }
    }

    /// The hypotheses found, the best first: finished ones, then those cut at the limit.
    pub(crate) fn hypotheses(mut self) -> Vec<Hypothesis> {
        self.ended.truncate(self.n_best);
        self.ended
    }

    fn end(&mut self, tokens: Vec<u32>, log_probability: f64, finished: bool) {
        let score = log_probability / self.divisor(tokens.len() + usize::from(finished));
        let hypothesis = Hypothesis { tokens, score, log_probability, finished };
        let ranking = self.ranking;
        let at = self.ended.partition_point(|other| best_first(ranking, other, &hypothesis) != Ordering::Greater);
        self.ended.insert(at, hypothesis);
        self.ended.truncate(match ranking {
            Ranking::Gnmt => self.n_best,
            Ranking::Tokens => self.width,
        });
    }

    /// The length penalty as a divisor: Wu et al. 2016, equation 14, or a power of the length.
    fn divisor(&self, length: usize) -> f64 {
        let length = (self.before + length) as f64;
        match self.ranking {
            Ranking::Gnmt => ((5.0 + length) / 6.0).powf(self.length_penalty),
            Ranking::Tokens => length.max(1.0).powf(self.length_penalty),
        }
    }
}

fn best_first(ranking: Ranking, a: &Hypothesis, b: &Hypothesis) -> Ordering {
    let ended = if ranking == Ranking::Gnmt { b.finished.cmp(&a.finished) } else { Ordering::Equal };
    ended.then(b.score.total_cmp(&a.score))
}
