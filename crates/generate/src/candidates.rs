use crate::scores::Scores;
use descant_kernels::Real;

/// A candidate for the next token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    /// The index of the hypothesis that it extends.
    pub(crate) parent: usize,
    pub(crate) token: u32,
    /// Of the hypothesis with this token.
    pub(crate) log_probability: f64,
}

/// The k likeliest candidates of those pushed; among equals the first. Rows are pushed in ascending order.
#[derive(Debug, Default)]
pub(crate) struct TopK {
    candidates: Vec<Candidate>,
    size: usize,
    /// The log probability that another candidate must exceed.
    threshold: f64,
    /// Those to draw from, each with its key.
    keyed: Vec<(f64, Candidate)>,
}

impl TopK {
    /// Empties it, to hold the `size` likeliest.
    pub(crate) fn clear(&mut self, size: usize) {
        self.candidates.clear();
        (self.size, self.threshold) = (size, f64::NEG_INFINITY);
    }

    /// Pushes every extension of hypothesis `parent`, which has `log_probability` so far, without the sorted forbidden
    /// tokens.
    pub(crate) fn push_row<E: Real>(
        &mut self,
        parent: usize,
        log_probability: f64,
        scores: Scores<'_, E>,
        forbidden: &[u32],
    ) {
        for (first, scores, max) in scores.pieces() {
            // Most have nothing above the threshold.
            if log_probability + max <= self.threshold {
                continue;
            }
            for (token, score) in (first..).zip(scores.iter()) {
                let log_probability = log_probability + score;
                if log_probability > self.threshold && forbidden.binary_search(&token).is_err() {
                    self.candidates.push(Candidate { parent, token, log_probability });
                    // Rarely: a cut costs as much as the pushes since the last one.
                    if self.candidates.len() >= self.size.saturating_mul(2) {
                        self.cut();
                    }
                }
            }
        }
    }

    fn cut(&mut self) {
        if self.candidates.len() > self.size {
            let (_, last, _) = self.candidates.select_nth_unstable_by(self.size - 1, likeliest_first);
            self.threshold = last.log_probability;
            self.candidates.truncate(self.size);
        }
    }

    /// The most likely, in descending order.
    pub(crate) fn sorted(&mut self) -> &[Candidate] {
        self.cut();
        self.candidates.sort_unstable_by(likeliest_first);
        &self.candidates
    }

    /// As many drawn without replacement by their probability, in descending order: the largest after a Gumbel variable is
    /// added to each. For a size that was never reached.
    pub(crate) fn drawn(&mut self, count: usize, mut unit: impl FnMut() -> f64) -> &[Candidate] {
        let gumbel = |unit: f64| -(-unit.max(f64::MIN_POSITIVE).ln()).ln();
        self.keyed.clear();
        self.keyed.extend(self.candidates.drain(..).map(|one| (one.log_probability + gumbel(unit()), one)));
        self.keyed.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        self.candidates.extend(self.keyed.iter().take(count).map(|(_, candidate)| candidate));
        self.candidates.sort_unstable_by(likeliest_first);
        &self.candidates
    }
}

pub(crate) fn likeliest_first(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.log_probability.total_cmp(&a.log_probability).then((a.parent, a.token).cmp(&(b.parent, b.token)))
}
