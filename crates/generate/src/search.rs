use crate::Options;
use crate::top::Candidate;
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
pub(crate) struct Live {
    pub(crate) tokens: Vec<u32>,
    pub(crate) log_probability: f64,
    /// Which hypothesis of the step before it continues.
    pub(crate) parent: usize,
}

/// The search for one source.
#[derive(Debug)]
pub(crate) struct Search {
    /// The hypotheses that go on, all of one length; none once the search has ended.
    pub(crate) live: Vec<Live>,
    /// The best of those that have ended, in order.
    ended: Vec<Hypothesis>,
    eos: Vec<u32>,
    /// Tokens at most, the end among them.
    limit: usize,
    width: usize,
    n_best: usize,
    length_penalty: f64,
}

impl Search {
    /// A search for a source of this length, or for none; `room` is how many tokens the model has positions for.
    pub(crate) fn new(options: &Options, source: Option<usize>, room: Option<usize>) -> Self {
        let (width, n_best, length_penalty) = options.beam();
        let limit = options.limit(source).min(room.unwrap_or(usize::MAX));
        let eos = options.eos.clone();
        Self { live: vec![Live::default()], ended: Vec::new(), eos, limit, width, n_best, length_penalty }
    }

    /// Goes on with the best candidates.
    ///
    /// Of the `width` best, those that end have ended; the `width` best others live on. A hypothesis is given up where,
    /// whatever its length will be, it can no longer beat the `n_best`-th finished one. The search ends when none lives:
    /// a longer search would hand back the same.
    pub(crate) fn advance(&mut self, candidates: &[Candidate]) {
        let parents = std::mem::take(&mut self.live);
        for (rank, candidate) in candidates.iter().enumerate() {
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
                self.live.push(Live { tokens: longer, log_probability, parent });
            }
        }
        // With every token forbidden or impossible, what there is stays.
        let stuck = if candidates.is_empty() { parents } else { Vec::new() };
        let full = self.live.first().is_some_and(|live| live.tokens.len() >= self.limit);
        let cut = if full { std::mem::take(&mut self.live) } else { stuck };
        cut.into_iter().for_each(|live| self.end(live.tokens, live.log_probability, false));
        if let Some(worst) = self.ended.get(self.n_best - 1).map(|hypothesis| hypothesis.score) {
            // Log probabilities only fall, and the longest have the largest divisor.
            let divisor = self.divisor(self.limit);
            self.live.retain(|live| live.log_probability / divisor > worst);
        }
    }

    /// What has been found, the best first: finished hypotheses, then those whose length ran out.
    pub(crate) fn hypotheses(self) -> Vec<Hypothesis> {
        self.ended
    }

    fn end(&mut self, tokens: Vec<u32>, log_probability: f64, finished: bool) {
        let score = log_probability / self.divisor(tokens.len() + usize::from(finished));
        let hypothesis = Hypothesis { tokens, score, log_probability, finished };
        let at = self.ended.partition_point(|other| best_first(other, &hypothesis) != Ordering::Greater);
        self.ended.insert(at, hypothesis);
        self.ended.truncate(self.n_best);
    }

    /// Wu et al. 2016, equation 14.
    fn divisor(&self, length: usize) -> f64 {
        ((5.0 + length as f64) / 6.0).powf(self.length_penalty)
    }
}

fn best_first(a: &Hypothesis, b: &Hypothesis) -> Ordering {
    b.finished.cmp(&a.finished).then(b.score.total_cmp(&a.score))
}
