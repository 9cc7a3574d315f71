use crate::alternatives::Alternatives;
use crate::bank_allocation::allocate;
use crate::candidates::Candidate;
use crate::coverage::{cover, penalty};
use crate::hypothesis::{FinishReason, Hypothesis, PartialHypothesis};
use crate::scorer::{Row, Scorer};
use crate::scores::Scores;
use crate::{DecodingOptions, EarlyStopping, Ranking};
use descant_autograd::derive_seed;
use descant_kernels::Real;
use rand_core::SeedableRng;
use rand_pcg::Pcg64;
use std::cmp::Ordering;

/// Beam search for one row: one beam, several groups of a diverse beam search, or a group for each alternative at a position.
#[derive(Clone, Debug)]
pub(crate) struct BeamSearch {
    groups: Vec<Beam>,
    /// Whether the groups have beams of their own: before the first token, all have one hypothesis in common.
    parted: bool,
    diversity_penalty: f64,
    rng: Option<Pcg64>,
    n_best: usize,
    /// Into which the only hypothesis is to part.
    alternatives: Option<Alternatives>,
}

impl BeamSearch {
    /// For a row with this number.
    pub(crate) fn new(options: &DecodingOptions, number: u64, first: &PartialHypothesis) -> Self {
        let config = &options.config;
        let count = config.num_beam_groups.unwrap_or(1);
        let rng = (config.do_sample == Some(true))
            .then(|| Pcg64::seed_from_u64(derive_seed(config.seed.unwrap_or(1), number)));
        Self {
            groups: (0..count).map(|_| Beam::new(options, config.num_beams() / count, first.clone())).collect(),
            parted: false,
            diversity_penalty: if count > 1 { config.diversity_penalty.unwrap_or(0.0) } else { 0.0 },
            rng,
            n_best: config.candidates(),
            alternatives: Alternatives::new(config),
        }
    }

    /// The hypotheses that may be extended.
    pub(crate) fn live(&self) -> impl Iterator<Item = &PartialHypothesis> {
        let groups = if self.parted { &self.groups[..] } else { &self.groups[..1] };
        groups.iter().flat_map(|group| &group.live)
    }

    /// Extends the beams by the best candidates, and prunes them. For the coverage penalty, `attention` has that of each live hypothesis.
    pub(crate) fn advance<E: Real>(
        &mut self,
        row: &Row,
        scorer: &mut Scorer,
        (scores, attention): (&[Scores<'_, E>], &[Vec<f64>]),
        options: &DecodingOptions,
    ) {
        if let Some(alternatives) = self.alternatives {
            return self.advance_to(alternatives, row, scorer, (scores, attention), options);
        }
        let (mut first, mut chosen) = (0, Vec::new());
        for group in &mut self.groups {
            let count = group.live.len();
            if count > 0 {
                let own = &scores[first..first + count];
                group.cover(attention.get(first..first + count).unwrap_or_default());
                let candidates = scorer.candidates(
                    row,
                    &mut group.live,
                    own,
                    group.candidates,
                    (&chosen, self.diversity_penalty),
                    self.rng.as_mut(),
                );
                group.advance(row, candidates, options);
                group.live.iter_mut().for_each(|live| live.parent += first);
                if self.diversity_penalty > 0.0 {
                    chosen.extend(group.live.iter().filter_map(|live| live.tokens.last()));
                }
            }
            if self.parted {
                first += count;
            }
        }
        self.parted = true;
    }

    /// Extends the only hypothesis: by the one token that is possible, or at the position where there are several, by the alternatives,
    /// each of which has a group of its own from then on.
    fn advance_to<E: Real>(
        &mut self,
        alternatives: Alternatives,
        row: &Row,
        scorer: &mut Scorer,
        (scores, attention): (&[Scores<'_, E>], &[Vec<f64>]),
        options: &DecodingOptions,
    ) {
        let group = &mut self.groups[0];
        group.cover(attention);
        let before = group.live[0].log_probability;
        let possible = scorer.candidates(row, &mut group.live, scores, alternatives.count, (&[], 0.0), None);
        let chosen = alternatives.of(possible, before);
        if possible.len() > 1 {
            (self.alternatives, self.parted) = (None, true);
            let group = group.clone();
            self.groups.resize(chosen.len(), group);
        }
        for (i, group) in self.groups.iter_mut().enumerate() {
            group.advance(row, chosen.get(i..=i).unwrap_or_default(), options);
        }
    }

    /// Ends all hypotheses as they are.
    pub(crate) fn stop(&mut self, reason: FinishReason) {
        for group in &mut self.groups {
            for live in std::mem::take(&mut group.live) {
                group.end(&live, live.log_probability, reason);
            }
        }
    }

    /// The hypotheses found, the best first, or that of each alternative.
    pub(crate) fn hypotheses(self, options: &DecodingOptions) -> Vec<Hypothesis> {
        if options.config.alternatives().is_some() {
            return self.groups.into_iter().filter_map(|group| group.ended.into_iter().next()).collect();
        }
        let finished_first = self.groups.first().is_some_and(Beam::puts_finished_first);
        let mut all: Vec<Hypothesis> = self.groups.into_iter().flat_map(|group| group.ended).collect();
        all.sort_by(|a, b| best_first(finished_first, a, b));
        all.truncate(self.n_best);
        all
    }
}

/// The beam of a group.
#[derive(Clone, Debug)]
struct Beam {
    /// All of one length; empty once the search has stopped.
    live: Vec<PartialHypothesis>,
    /// Those before them, whose memory the next ones take.
    before: Vec<PartialHypothesis>,
    /// The best ended hypotheses, in order.
    ended: Vec<Hypothesis>,
    width: usize,
    /// How many candidates leave `width` hypotheses if all EOS are among them.
    candidates: usize,
    /// How many ended hypotheses are kept.
    kept: usize,
    length_penalty: f64,
    coverage_penalty: f64,
    ranking: Ranking,
    early_stopping: EarlyStopping,
    /// Whether a hypothesis may gain by another token.
    may_rise: bool,
    /// Whether the hypotheses have constraints: then those that may end go first.
    is_constrained: bool,
}

impl Beam {
    fn new(options: &DecodingOptions, width: usize, first: PartialHypothesis) -> Self {
        let config = &options.config;
        let ranking = config.ranking();
        Self {
            is_constrained: !first.constraints.is_empty(),
            live: vec![first],
            before: Vec::new(),
            ended: Vec::new(),
            width,
            candidates: width.saturating_mul(1 + options.eos.len().max(1)),
            kept: match (ranking, config.early_stopping()) {
                // That none can become better is as certain with those alone that are returned.
                (Ranking::Gnmt, EarlyStopping::Never) if config.alternatives().is_some() => 1,
                (Ranking::Gnmt, EarlyStopping::Never) => config.candidates().min(width),
                _ => width,
            },
            length_penalty: config.length_penalty(),
            coverage_penalty: config.coverage_penalty(),
            ranking,
            early_stopping: config.early_stopping(),
            may_rise: options.scores_may_rise(),
        }
    }

    /// Takes the attention of each live hypothesis, with which it chooses its next token.
    fn cover(&mut self, attention: &[Vec<f64>]) {
        self.live.iter_mut().zip(attention).for_each(|(live, weights)| cover(&mut live.coverage, weights));
    }

    /// Of the `width` best candidates, those with EOS are finished, and with constraints all with EOS; the `width` best others form
    /// the beam, or with constraints the best of each number of tokens that a text has of what it has to contain.
    fn advance(&mut self, row: &Row, candidates: &[Candidate], options: &DecodingOptions) {
        let mut parents = std::mem::take(&mut self.before);
        std::mem::swap(&mut parents, &mut self.live);
        let banked;
        let candidates = match self.is_constrained {
            true => {
                let is_eos = |candidate: &Candidate| options.eos.contains(&candidate.token);
                let progress = |one: &Candidate| {
                    let PartialHypothesis { tokens, constraints, .. } = &mut parents[one.parent];
                    constraints.progress_with(tokens, one.token)
                };
                banked = allocate(candidates, self.width, is_eos, progress);
                &banked
            }
            false => candidates,
        };
        // At the limit all hypotheses end, up to the beam width.
        let is_last = parents.first().is_some_and(|live| live.tokens.len() + 1 >= row.limit);
        let is_cut = is_last && self.ranking == Ranking::Tokens && !self.is_constrained;
        let most = if is_cut { self.width } else { candidates.len() };
        let mut live = 0;
        for (rank, candidate) in candidates.iter().enumerate().take(most) {
            let &Candidate { parent, token, log_probability } = candidate;
            if options.eos.contains(&token) {
                if rank < self.width || self.is_constrained {
                    self.end(&parents[parent], log_probability, FinishReason::Eos);
                }
            } else if live < self.width {
                if live == self.live.len() {
                    self.live.push(PartialHypothesis::default());
                }
                let longer = &mut self.live[live];
                longer.assign(&parents[parent], token, log_probability, parent);
                match longer.stops(&row.prompt, options) {
                    false => live += 1,
                    true if rank < self.width || self.is_constrained => {
                        let stopped = std::mem::take(longer);
                        self.end(&stopped, log_probability, FinishReason::StopString);
                    }
                    true => {}
                }
            }
        }
        self.live.truncate(live);
        // With every token forbidden or impossible, the hypotheses end as they are.
        if candidates.is_empty() {
            for stuck in &mut parents {
                let reason = stuck.stuck(options);
                self.end(stuck, stuck.log_probability, reason);
            }
        }
        if self.live.first().is_some_and(|live| live.tokens.len() >= row.limit) {
            for cut in std::mem::take(&mut self.live) {
                self.end(&cut, cut.log_probability, FinishReason::Length);
            }
        }
        // States of constraints would be cloned as long as a parent has them.
        if self.is_constrained {
            parents.clear();
        }
        self.before = parents;
        self.prune(row);
    }

    /// Stops the search by the rule of early stopping, once as many hypotheses have ended as are kept.
    fn prune(&mut self, row: &Row) {
        let Some(worst) = self.ended.get(self.kept - 1).map(|hypothesis| hypothesis.score) else { return };
        // Scores that are led or biased may rise without bound; log probabilities only fall, so the best that a hypothesis can become is at the largest divisor. Coverage only grows, to a penalty
        // of 0 at best: what is still to be covered now says nothing of the end, and no bound counts it.
        let bound = |live: &PartialHypothesis, length: usize| live.log_probability / self.divisor(length);
        let furthest = if self.length_penalty > 0.0 { row.limit } else { 0 };
        match (self.early_stopping, self.ranking) {
            (EarlyStopping::True, _) => self.live.clear(),
            (EarlyStopping::Never, Ranking::Gnmt) if self.may_rise => {}
            (EarlyStopping::Never, Ranking::Gnmt) => {
                let divisor = self.divisor(furthest.max(self.live.first().map_or(0, |live| live.tokens.len())));
                self.live.retain(|live| live.log_probability / divisor > worst);
            }
            (rule, _) => {
                let is_better = |best: &PartialHypothesis| {
                    let now = best.tokens.len();
                    bound(best, if rule == EarlyStopping::Never { furthest.max(now) } else { now }) > worst
                };
                if !self.live.first().is_some_and(is_better) {
                    self.live.clear();
                }
            }
        }
    }

    /// Ends a hypothesis, with the log probability of its EOS too.
    fn end(&mut self, ended: &PartialHypothesis, log_probability: f64, finish_reason: FinishReason) {
        let PartialHypothesis { tokens, coverage, .. } = ended;
        let mut score = log_probability / self.divisor(tokens.len() + usize::from(finish_reason == FinishReason::Eos));
        if self.coverage_penalty > 0.0 {
            score += penalty(coverage, self.coverage_penalty);
        }
        let mut hypothesis = Hypothesis { tokens: Vec::new(), score, log_probability, finish_reason };
        let first = self.puts_finished_first();
        let at = self.ended.partition_point(|other| best_first(first, other, &hypothesis) != Ordering::Greater);
        if at < self.kept {
            hypothesis.tokens.extend_from_slice(tokens);
            self.ended.truncate(self.kept - 1);
            self.ended.insert(at, hypothesis);
        }
    }

    fn puts_finished_first(&self) -> bool {
        self.ranking == Ranking::Gnmt || self.is_constrained
    }

    /// The length penalty as a divisor: Wu et al. 2016, equation 14, or a power of the length.
    fn divisor(&self, length: usize) -> f64 {
        let length = length as f64;
        match self.ranking {
            Ranking::Gnmt => ((5.0 + length) / 6.0).powf(self.length_penalty),
            Ranking::Tokens => length.max(1.0).powf(self.length_penalty),
        }
    }
}

fn best_first(finished_first: bool, a: &Hypothesis, b: &Hypothesis) -> Ordering {
    let ended = if finished_first { b.is_finished().cmp(&a.is_finished()) } else { Ordering::Equal };
    ended.then(b.score.total_cmp(&a.score))
}
