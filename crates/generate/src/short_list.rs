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
    /// A list of tokens that every text may have, and of those that it may have for each n-gram of its source.
    ///
    /// # Errors
    /// Where it has no token at all.
    pub fn new(common: Vec<u32>, rules: impl IntoIterator<Item = (Vec<u32>, Vec<u32>)>) -> Result<Self, String> {
        let rules: HashMap<_, _> = rules.into_iter().filter(|(ngram, _)| !ngram.is_empty()).collect();
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

    /// The tokens for a source, and some more, in order.
    pub fn tokens(&self, source: &[u32], more: &[u32]) -> Vec<u32> {
        let mut tokens = self.always(more);
        tokens.extend(self.further(source, &tokens));
        tokens.sort_unstable();
        tokens
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
        let rules = [(vec![5], vec![50, 51]), (vec![6, 7], vec![67]), (vec![7], vec![70, 1]), (vec![], vec![9])];
        let list = ShortList::new(vec![1, 2], rules).unwrap();
        assert_eq!(list.tokens(&[6, 5], &[]), [1, 2, 50, 51]);
        assert_eq!(list.tokens(&[6, 7, 8], &[3]), [1, 2, 3, 67, 70]);
        assert_eq!(list.tokens(&[], &[0]), [0, 1, 2]);
        // What all sources share, and what is one's own.
        let always = list.always(&[70, 0]);
        assert_eq!((&always[..], &list.further(&[6, 7, 7], &always)[..]), (&[0, 1, 2, 70][..], &[67][..]));
        for rules in [vec![], vec![(vec![], vec![9])], vec![(vec![3], vec![])]] {
            assert!(ShortList::new(Vec::new(), rules).unwrap_err().contains("without any token"));
        }
        assert_eq!(list.rules(), [(&[5][..], &[50, 51][..]), (&[6, 7], &[67]), (&[7], &[70, 1])]);
    }
}
