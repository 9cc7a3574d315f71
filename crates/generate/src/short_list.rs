//! Vocabulary short lists (L'Hostis et al. 2016, arXiv 1610.00072): the output layer scores only tokens that may translate those of the
//! source.

use std::collections::HashMap;

/// For n-grams of a source, the tokens that may translate them.
#[derive(Clone, Debug, PartialEq)]
pub struct ShortList {
    common: Vec<u32>,
    rules: HashMap<Vec<u32>, Vec<u32>>,
    /// Tokens of the longest n-gram.
    longest: usize,
}

impl ShortList {
    /// A list of tokens that every text may have, and of those that it may have for each n-gram of its source. An n-gram that comes several
    /// times has the tokens of all.
    ///
    /// # Errors
    /// Where it has no token at all.
    pub fn new(common: Vec<u32>, rules: impl IntoIterator<Item = (Vec<u32>, Vec<u32>)>) -> Result<Self, String> {
        let mut all: HashMap<Vec<u32>, Vec<u32>> = HashMap::new();
        for (ngram, tokens) in rules.into_iter().filter(|(ngram, _)| !ngram.is_empty()) {
            all.entry(ngram).or_default().extend(tokens);
        }
        let rules = all;
        if common.is_empty() && rules.values().all(Vec::is_empty) {
            return Err("a short list without any token".to_owned());
        }
        let longest = rules.keys().map(Vec::len).max().unwrap_or(0);
        Ok(Self { common, rules, longest })
    }

    /// The tokens that every text may have.
    pub fn common(&self) -> &[u32] {
        &self.common
    }

    /// N-grams of sources with their tokens, in order.
    pub fn rules(&self) -> Vec<(&[u32], &[u32])> {
        let mut rules: Vec<(&[u32], &[u32])> =
            self.rules.iter().map(|(ngram, tokens)| (&ngram[..], &tokens[..])).collect();
        rules.sort_unstable();
        rules
    }

    /// The tokens that every text may have, and some more, in order.
    pub(crate) fn always(&self, more: &[u32]) -> Vec<u32> {
        in_order([&self.common[..], more].concat())
    }

    /// The tokens for a source that are not among those that every text may have, in order.
    pub(crate) fn further(&self, source: &[u32], always: &[u32]) -> Vec<u32> {
        let ngrams = (0..source.len())
            .flat_map(|start| (1..=self.longest.min(source.len() - start)).map(move |length| start..start + length));
        let tokens = ngrams.filter_map(|ngram| self.rules.get(&source[ngram])).flatten().copied();
        in_order(tokens.filter(|token| always.binary_search(token).is_err()).collect())
    }
}

/// Each token once.
fn in_order(mut tokens: Vec<u32>) -> Vec<u32> {
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_the_tokens_of_its_n_grams_and_the_common_ones() {
        // An n-gram may come twice, as in lists that were joined.
        let rules = [(vec![5], vec![50]), (vec![6, 7], vec![67]), (vec![7], vec![70, 1]), (vec![], vec![9])];
        let rules = rules.into_iter().chain([(vec![5], vec![51])]);
        let list = ShortList::new(vec![1, 2], rules).unwrap();
        assert_eq!(list.further(&[6, 5], &list.always(&[])), [50, 51]);
        assert_eq!(list.further(&[6, 7, 8], &list.always(&[3])), [67, 70]);
        assert_eq!((list.always(&[0]), list.further(&[], &[0])), (vec![0, 1, 2], Vec::new()));
        // What all sources share, and what is one's own.
        let always = list.always(&[70, 0]);
        assert_eq!((&always[..], &list.further(&[6, 7, 7], &always)[..]), (&[0, 1, 2, 70][..], &[67][..]));
        for rules in [vec![], vec![(vec![], vec![9])], vec![(vec![3], vec![])]] {
            assert!(ShortList::new(Vec::new(), rules).unwrap_err().contains("without any token"));
        }
        assert_eq!(list.rules(), [(&[5][..], &[50, 51][..]), (&[6, 7], &[67]), (&[7], &[70, 1])]);
    }
}
