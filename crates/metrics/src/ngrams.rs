use std::collections::HashMap;
use std::hash::Hash;

/// How often each n-gram of one order stands in a text.
#[derive(Debug)]
pub(crate) struct Ngrams<T> {
    counts: HashMap<Box<[T]>, usize>,
    total: usize,
}

impl<T: Clone + Eq + Hash> Ngrams<T> {
    /// `order` is 1 or more.
    pub(crate) fn new(tokens: &[T], order: usize) -> Self {
        let mut counts: HashMap<Box<[T]>, usize> = HashMap::new();
        for ngram in tokens.windows(order) {
            match counts.get_mut(ngram) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(ngram.into(), 1);
                }
            }
        }
        Self { counts, total: (tokens.len() + 1).saturating_sub(order) }
    }

    /// Those of the orders from 1 to this one.
    pub(crate) fn up_to(order: usize, tokens: &[T]) -> Vec<Self> {
        (1..=order).map(|order| Self::new(tokens, order)).collect()
    }

    /// How many there are.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// How many different ones there are.
    pub(crate) fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// How many of them are in references too, each at most as often as in the one that has it most often.
    pub(crate) fn matches<'a>(&self, references: impl IntoIterator<Item = &'a Self> + Clone) -> usize
    where
        T: 'a,
    {
        let most = |ngram: &[T]| references.clone().into_iter().filter_map(|of| of.counts.get(ngram)).max().copied();
        self.counts.iter().map(|(ngram, &count)| count.min(most(ngram).unwrap_or(0))).sum()
    }
}
