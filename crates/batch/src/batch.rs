use crate::Sequences;

/// A batch of ragged sequences: decoder inputs, their targets, and the sources of an encoder-decoder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The encoder's input; a language model has none.
    pub source: Option<Sequences>,
    /// The decoder's input (teacher forcing).
    pub input: Sequences,
    /// The next token at each position of `input`.
    pub target: Sequences,
    /// Of preferences, what is worse than each target; its source, or the prompt within it, is the same.
    pub rejected: Option<Rejected>,
    /// How much the target of each sequence counts; without them, all 1.
    pub weights: Option<Vec<f32>>,
    /// Which tokens of each source and of its target belong together, by their places; of some sequences perhaps none.
    pub links: Option<Vec<Vec<[u32; 2]>>>,
}

/// The decoder's inputs and targets of rejected answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// What the decoder reads.
    pub input: Sequences,
    /// The next token at each position of `input`.
    pub target: Sequences,
}

impl Batch {
    /// A masked target: it has no loss, as within a prompt.
    pub const IGNORED: u32 = u32::MAX;

    /// The batch in which each target has the source of the next one.
    #[must_use]
    pub fn with_other_sources(&self) -> Self {
        let n = self.target.len();
        let next: Vec<usize> = (0..n).map(|i| (i + 1) % n).collect();
        Self { source: self.source.as_ref().map(|sources| sources.select(&next)), ..self.clone() }
    }

    /// The batch followed by itself: two dropout masks in one pass (R-Drop).
    #[must_use]
    pub fn twice(&self) -> Self {
        let order: Vec<usize> = (0..self.target.len()).chain(0..self.target.len()).collect();
        self.select(&order)
    }

    /// The targets and what is rejected in their favour as the rows of one batch: all targets first. None of a batch without preferences.
    pub fn compared(&self) -> Option<Self> {
        let rejected = self.rejected.as_ref()?;
        let mut batch = Self { rejected: None, ..self.clone() }.twice();
        for (all, own, other) in
            [(&mut batch.input, &self.input, &rejected.input), (&mut batch.target, &self.target, &rejected.target)]
        {
            all.clone_from(own);
            (0..other.len()).for_each(|i| all.push(other.get(i)));
        }
        Some(batch)
    }

    /// How many target tokens, those of what is rejected among them.
    pub fn tokens(&self) -> usize {
        self.target.tokens() + self.rejected.as_ref().map_or(0, |rejected| rejected.target.tokens())
    }

    /// Splits the batch into `n` data-parallel shares of about equal work: the longest sequences first, each to the share
    /// with the least work so far. With fewer sequences than shares, some shares are empty.
    pub fn shares(&self, n: usize) -> Vec<Self> {
        let cost = |i: usize| {
            let source = self.source.as_ref().map_or(0, |source| source.get(i).len());
            let rejected = self.rejected.as_ref().map_or(0, |rejected| rejected.target.get(i).len() + source);
            self.target.get(i).len() + source + rejected
        };
        let mut order: Vec<usize> = (0..self.target.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(cost(i)));
        let mut shares = vec![(0, Vec::new()); n.max(1)];
        for i in order {
            if let Some(least) = shares.iter_mut().min_by_key(|(load, _)| *load) {
                least.0 += cost(i);
                least.1.push(i);
            }
        }
        shares
            .into_iter()
            .map(|(_, mut members)| {
                members.sort_unstable();
                self.select(&members)
            })
            .collect()
    }

    /// Splits the batch into `n` shares by row, whatever the lengths: row `i` is in share `i` modulo `n`. So what a row goes on from, in the
    /// batch after, is in the same share.
    pub fn shares_by_row(&self, n: usize) -> Vec<Self> {
        let members = |share: usize| (share..self.target.len()).step_by(n.max(1)).collect::<Vec<_>>();
        (0..n.max(1)).map(|share| self.select(&members(share))).collect()
    }

    /// These rows.
    fn select(&self, rows: &[usize]) -> Self {
        Self {
            source: self.source.as_ref().map(|source| source.select(rows)),
            input: self.input.select(rows),
            target: self.target.select(rows),
            rejected: self
                .rejected
                .as_ref()
                .map(|rejected| Rejected { input: rejected.input.select(rows), target: rejected.target.select(rows) }),
            links: self.links.as_ref().map(|links| rows.iter().map(|&row| links[row].clone()).collect()),
            weights: self.weights.as_ref().map(|weights| rows.iter().map(|&row| weights[row]).collect()),
        }
    }
}
