use descant_tensor::Element;

/// A token that may come next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    /// Which of a source's hypotheses it continues.
    pub(crate) parent: usize,
    pub(crate) token: u32,
    /// Of the hypothesis and this token together.
    pub(crate) log_probability: f64,
}

/// The likeliest candidates of those it is shown. Among equals, the first shown; show them in ascending order.
#[derive(Debug, Default)]
pub(crate) struct TopK {
    candidates: Vec<Candidate>,
    size: usize,
    /// What another candidate must exceed.
    threshold: f64,
}

impl TopK {
    /// Empties it, to hold the `size` likeliest.
    pub(crate) fn clear(&mut self, size: usize) {
        self.candidates.clear();
        (self.size, self.threshold) = (size, f64::NEG_INFINITY);
    }

    /// Shows it every continuation of hypothesis `parent`, which so far has `log_probability`, but those in the ordered list
    /// of forbidden ones.
    pub(crate) fn show<E: Element>(&mut self, parent: usize, log_probability: f64, scores: &[E], forbidden: &[u32]) {
        for (token, score) in (0u32..).zip(scores) {
            let log_probability = log_probability + score.f64();
            if log_probability > self.threshold && forbidden.binary_search(&token).is_err() {
                self.candidates.push(Candidate { parent, token, log_probability });
                // Rarely: a cut costs as much as the pushes since the last one.
                if self.candidates.len() >= self.size.saturating_mul(2) {
                    self.cut();
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

    /// The likeliest, in descending order.
    pub(crate) fn sorted(&mut self) -> &[Candidate] {
        self.cut();
        self.candidates.sort_unstable_by(likeliest_first);
        &self.candidates
    }

    /// All of them, in the order shown: for a size that was never reached.
    pub(crate) fn all(&self) -> &[Candidate] {
        &self.candidates
    }
}

fn likeliest_first(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.log_probability.total_cmp(&a.log_probability).then((a.parent, a.token).cmp(&(b.parent, b.token)))
}
