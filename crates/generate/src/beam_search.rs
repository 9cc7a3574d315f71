use crate::top_k::Candidate;
use crate::{DecodingOptions, Ranking};
use std::cmp::Ordering;

/// What was written for a source, or after a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// The tokens, without the prompt, the beginning and the end.
    pub tokens: Vec<u32>,
    /// What hypotheses are ranked by: the log probability, in a beam divided by the length penalty.
    pub score: f64,
    /// The natural logarithm of the probability of the tokens, and of the end where it was written, given that no forbidden
    /// token comes.
    pub log_probability: f64,
    /// Whether the end was written, or the length ran out before.
    pub finished: bool,
}

/// A beginning that may go on.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartialHypothesis {
    pub(crate) tokens: Vec<u32>,
    pub(crate) log_probability: f64,
    /// Which hypothesis of the step before it continues.
    pub(crate) parent: usize,
}

/// The search for one source.
#[derive(Debug)]
pub(crate) struct BeamSearch {
    /// The hypotheses that go on, all of one length; none once the search has ended.
    pub(crate) live: Vec<PartialHypothesis>,
    /// The best of those that have ended, in order.
    ended: Vec<Hypothesis>,
    eos: Vec<u32>,
    /// Tokens at most, the end among them.
    limit: usize,
    width: usize,
    n_best: usize,
    length_penalty: f64,
    ranking: Ranking,
    /// The token that ends a text at the limit.
    forced_end: bool,
    /// Tokens that were written for it before.
    before: usize,
}

impl BeamSearch {
    /// A search for a source of this length, or for none; `room` is how many tokens the model has positions for.
    pub(crate) fn new(options: &DecodingOptions, source: Option<usize>, room: Option<usize>) -> Self {
        let (width, n_best, length_penalty) = options.beam();
        let limit = options.limit(source).min(room.unwrap_or(usize::MAX));
        // What follows a decoder's start is written, though not chosen.
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

    /// Goes on with the best candidates.
    ///
    /// Of the `width` best, those that end have ended; the `width` best others live on. A hypothesis is given up where,
    /// whatever its length will be, it can no longer beat the `n_best`-th finished one. The search ends when none lives:
    /// a longer search would hand back the same.
    pub(crate) fn advance(&mut self, candidates: &[Candidate]) {
        let parents = std::mem::take(&mut self.live);
        // The last tokens all end their texts, as far as the beam is wide.
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
        // With every token forbidden or impossible, what there is stays.
        let stuck = if candidates.is_empty() { parents } else { Vec::new() };
        let forced = usize::from(self.forced_end);
        let full = self.live.first().is_some_and(|live| live.tokens.len() + forced >= self.limit);
        let (cut, forced) = if full { (std::mem::take(&mut self.live), self.forced_end) } else { (stuck, false) };
        cut.into_iter().for_each(|live| self.end(live.tokens, live.log_probability, forced));
        match self.ranking {
            Ranking::Gnmt => {
                if let Some(worst) = self.ended.get(self.n_best - 1).map(|hypothesis| hypothesis.score) {
                    // Log probabilities only fall, and the longest have the largest divisor.
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

    /// What has been found, the best first: finished hypotheses, then those whose length ran out.
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

    /// Of the length: Wu et al. 2016, equation 14, or a power of it.
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
