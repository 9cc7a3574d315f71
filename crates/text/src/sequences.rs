/// Sequences of ids joined end to end, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequences {
    /// All ids.
    pub ids: Vec<u32>,
    /// Where each sequence starts, and where the last one ends: one more than there are sequences.
    pub offsets: Vec<usize>,
}

impl Default for Sequences {
    fn default() -> Self {
        Self { ids: Vec::new(), offsets: vec![0] }
    }
}

impl Sequences {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many sequences.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many ids in all.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// The ids of sequence `i`.
    pub fn get(&self, i: usize) -> &[u32] {
        &self.ids[self.offsets[i]..self.offsets[i + 1]]
    }

    /// The length of every sequence.
    pub fn lengths(&self) -> Vec<usize> {
        self.offsets.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// Adds a sequence.
    pub fn push(&mut self, ids: &[u32]) {
        self.ids.extend_from_slice(ids);
        self.offsets.push(self.ids.len());
    }

    /// The sequences `indices`, in that order.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let mut selected = Self::new();
        indices.iter().for_each(|&i| selected.push(self.get(i)));
        selected
    }
}

/// What one training pass reads: for each sequence the tokens that go in, those that should come out, and of an
/// encoder-decoder the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The sources; of a language model, none.
    pub source: Option<Sequences>,
    /// What the decoder reads.
    pub input: Sequences,
    /// What it should write: as many tokens as it reads.
    pub target: Sequences,
}

impl Batch {
    /// A target that does not count, such as those of a prompt.
    pub const IGNORED: u32 = u32::MAX;

    /// All of it, and all of it once more.
    #[must_use]
    pub fn twice(&self) -> Self {
        let all = |sequences: &Sequences| {
            let order: Vec<usize> = (0..sequences.len()).chain(0..sequences.len()).collect();
            sequences.select(&order)
        };
        Self { source: self.source.as_ref().map(all), input: all(&self.input), target: all(&self.target) }
    }

    /// How many target tokens.
    pub fn tokens(&self) -> usize {
        self.target.tokens()
    }

    /// Cuts the batch into `n` shares of about equal work: the longest sequences first, each to the share that has the
    /// least so far. Some are empty where there are fewer sequences.
    pub fn shares(&self, n: usize) -> Vec<Self> {
        let cost = |i: usize| {
            let source = self.source.as_ref().map_or(0, |source| source.get(i).len());
            self.target.get(i).len() + source
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
                Self {
                    source: self.source.as_ref().map(|source| source.select(&members)),
                    input: self.input.select(&members),
                    target: self.target.select(&members),
                }
            })
            .collect()
    }
}
