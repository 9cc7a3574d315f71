//! BPE-dropout (Provilkov et al. 2020, arXiv 1910.13267): a text is encoded anew in every epoch, and each merge that could be next is left
//! out with some probability, so that rare subwords are trained, and a word is seen in several segmentations.

use crate::draw::uniform;
use rand_pcg::Pcg64;
use serde_json::Value;
use std::collections::HashMap;

/// The merges of a tokenizer by byte pair encoding, and the probability that one is left out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BpeDropout {
    rate: f64,
    /// The rank of a merge, and the token that it makes of two.
    merges: HashMap<[u32; 2], (u32, u32)>,
    /// The two that a token is made of.
    parts: HashMap<u32, [u32; 2]>,
}

impl BpeDropout {
    /// That of a tokenizer's model, as its file has it; none where it has no merges.
    pub(crate) fn new(rate: f64, model: &Value) -> Option<Self> {
        if model["type"] != "BPE" {
            return None;
        }
        let prefix = model["continuing_subword_prefix"].as_str().unwrap_or_default();
        // As `tokenizers` joins them: the second without its first bytes.
        let content = |token: &str| token.get(prefix.len()..).map(str::to_owned);
        let id = |token: &str| model["vocab"][token].as_u64().and_then(|id| u32::try_from(id).ok());
        let joined = |pair: &Value| {
            let (one, other) = (pair[0].as_str()?, pair[1].as_str()?);
            let whole = [one, &content(other)?].concat();
            // So that no token is a part of its own parts.
            let size = |token: &str| token.strip_prefix(prefix).unwrap_or(token).len();
            let is_longer = size(one).max(size(other)) < size(&whole);
            is_longer.then_some(([id(one)?, id(other)?], id(&whole)?))
        };
        let (mut merges, mut parts) = (HashMap::new(), HashMap::new());
        for (rank, pair) in (0..).zip(model["merges"].as_array().into_iter().flatten()) {
            if let Some((pair, whole)) = joined(pair) {
                merges.entry(pair).or_insert((rank, whole));
                parts.entry(whole).or_insert(pair);
            }
        }
        (!merges.is_empty()).then_some(Self { rate, merges, parts })
    }

    /// The tokens of a word in another segmentation.
    pub(crate) fn sample(&self, word: &[u32], random: &mut Pcg64, segmented: &mut Vec<u32>) {
        // Where a pre-tokenizer parts words without a space, all merges would join what it keeps apart: then each token is a word.
        let size = if self.merged(word, || true) == word { word.len() } else { 1 };
        for word in word.chunks(size) {
            segmented.extend(self.merged(word, || uniform(random) >= self.rate));
        }
    }

    /// The characters of these tokens, merged by rank as long as one of the merges that are possible is not left out.
    fn merged(&self, word: &[u32], mut is_kept: impl FnMut() -> bool) -> Vec<u32> {
        let (mut pieces, mut stack) = (Vec::new(), word.to_vec());
        while let Some(id) = stack.pop() {
            match self.parts.get(&id) {
                Some(parts) => stack.extend(parts),
                None => pieces.push(id),
            }
        }
        pieces.reverse();
        loop {
            let possible = pieces.windows(2).enumerate().filter_map(|(at, pair)| {
                let &(rank, whole) = self.merges.get(pair)?;
                Some((rank, at, whole))
            });
            let Some((_, at, whole)) = possible.filter(|_| is_kept()).min() else { return pieces };
            pieces.splice(at..at + 2, [whole]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::SeedableRng;

    fn sample(dropout: &BpeDropout, word: &[u32], random: &mut Pcg64) -> Vec<u32> {
        let mut segmented = Vec::new();
        dropout.sample(word, random, &mut segmented);
        segmented
    }

    /// Of a word of three characters with the merges ab, bc, abc: in the first step each of `ab` and `bc` is left out by itself.
    #[test]
    fn segmentations_have_their_probabilities() {
        let (a, b, c, ab, bc, abc) = (0, 1, 2, 3, 4, 5);
        let merges = HashMap::from([([a, b], (0, ab)), ([b, c], (1, bc)), ([ab, c], (2, abc))]);
        let parts = HashMap::from([(ab, [a, b]), (bc, [b, c]), (abc, [ab, c])]);
        let rate = 0.3;
        let dropout = BpeDropout { rate, merges, parts };
        let mut random = Pcg64::seed_from_u64(7);
        let draws = 20_000;
        let mut counts: HashMap<Vec<u32>, f64> = HashMap::new();
        (0..draws)
            .for_each(|_| *counts.entry(sample(&dropout, &[abc], &mut random)).or_default() += 1.0 / f64::from(draws));
        let keep = 1.0 - rate;
        for (pieces, share) in [
            (vec![abc], keep * keep),
            (vec![ab, c], keep * rate),
            (vec![a, bc], rate * keep),
            (vec![a, b, c], rate * rate),
        ] {
            // Five standard deviations.
            let limit = 5.0 * (share * (1.0 - share) / f64::from(draws)).sqrt();
            assert!((counts[&pieces] - share).abs() < limit, "{pieces:?}: {counts:?}");
        }
    }

    #[test]
    fn damaged_merges_do_not_hang() {
        let model = serde_json::json!({
            "type": "BPE", "continuing_subword_prefix": "##", "vocab": {"#": 0, "#b": 1, "##b": 2, "a": 3, "ab": 4},
            "merges": [["#", "#b"], ["#", "##b"], ["a", "##b"]],
        });
        let dropout = BpeDropout::new(0.5, &model).unwrap();
        assert_eq!(dropout.merges, HashMap::from([([0, 2], (1, 1)), ([3, 2], (2, 4))]));
        let mut random = Pcg64::seed_from_u64(5);
        let drawn: Vec<Vec<u32>> = (0..50).map(|_| sample(&dropout, &[4], &mut random)).collect();
        assert!(drawn.contains(&vec![4]) && drawn.contains(&vec![3, 2]), "{drawn:?}");
        let merges = HashMap::from([([0, 1], (0, 2))]);
        let dropout = BpeDropout { rate: 0.5, merges, parts: HashMap::from([(2, [0, 1])]) };
        // Ids beyond the vocabulary stay.
        assert_eq!(sample(&dropout, &[9, u32::MAX], &mut Pcg64::seed_from_u64(1)), [9, u32::MAX]);
    }
}
