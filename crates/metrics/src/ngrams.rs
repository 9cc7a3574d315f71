use std::collections::HashMap;
use std::hash::Hash;

/// How often each n-gram of one order stands in a text.
#[derive(Debug)]
pub(crate) struct Ngrams<'a, T> {
    counts: HashMap<&'a [T], usize>,
    total: usize,
}

impl<'a, T: Eq + Hash> Ngrams<'a, T> {
    pub(crate) fn new(tokens: &'a [T], order: usize) -> Self {
        let mut counts = HashMap::new();
        tokens.windows(order).for_each(|ngram| *counts.entry(ngram).or_insert(0) += 1);
        Self { counts, total: (tokens.len() + 1).saturating_sub(order) }
    }

    /// How many there are.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// How many of them are in a reference too, each at most as often as there.
    pub(crate) fn matches(&self, reference: &Self) -> usize {
        self.matches_of_any(std::slice::from_ref(reference))
    }

    /// The same of several references, of which the one that has an n-gram most often counts.
    pub(crate) fn matches_of_any(&self, references: &[Self]) -> usize {
        let most = |ngram: &[T]| references.iter().filter_map(|of| of.counts.get(ngram)).max().copied().unwrap_or(0);
        self.counts.iter().map(|(ngram, &count)| count.min(most(ngram))).sum()
    }
}
