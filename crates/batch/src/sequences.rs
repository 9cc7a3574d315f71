/// Token sequences of different lengths, concatenated without padding.
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
    /// No sequences.
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

    /// Removes all sequences.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.offsets.truncate(1);
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
