//! Subword regularisation with a unigram model (Kudo 2018, arXiv 1804.10959): a word's segmentation is drawn from all that the vocabulary allows, in
//! proportion to their probability to the power of alpha.

use crate::draw::uniform;
use rand_pcg::Pcg64;
use serde_json::Value;
use std::collections::HashMap;

/// The pieces of a unigram tokenizer, and alpha.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UnigramSampling {
    alpha: f64,
    /// The text and the log-probability of a piece.
    pieces: HashMap<u32, (String, f64)>,
    ids: HashMap<String, u32>,
    /// Bytes of the longest piece.
    longest: usize,
}

impl UnigramSampling {
    /// That of a tokenizer's model, as its file has it; none where it is of another kind. A text never says a special token.
    pub(crate) fn new(alpha: f64, model: &Value, is_special: &dyn Fn(u32) -> bool) -> Option<Self> {
        if model["type"] != "Unigram" {
            return None;
        }
        let unknown = model["unk_id"].as_u64();
        let mut found = Self { alpha, pieces: HashMap::new(), ids: HashMap::new(), longest: 0 };
        for (id, piece) in (0..).zip(model["vocab"].as_array().into_iter().flatten()) {
            let (Some(text), Some(score)) = (piece[0].as_str(), piece[1].as_f64()) else { continue };
            let is_byte = text.len() == 6 && text.starts_with("<0x") && text.ends_with('>');
            if Some(u64::from(id)) != unknown && !is_special(id) && !is_byte && !text.is_empty() {
                found.longest = found.longest.max(text.len());
                found.ids.entry(text.to_owned()).or_insert(id);
                found.pieces.insert(id, (text.to_owned(), score));
            }
        }
        Some(found)
    }

    /// The tokens of a word in another segmentation; unknown ones and bytes stay as they are, and part it.
    pub(crate) fn sample(&self, word: &[u32], random: &mut Pcg64, segmented: &mut Vec<u32>) {
        for part in word.chunk_by(|one, other| self.pieces.contains_key(one) == self.pieces.contains_key(other)) {
            let text: Option<String> = part.iter().map(|id| Some(self.pieces.get(id)?.0.as_str())).collect();
            match text {
                Some(text) => self.segment(&text, random, segmented),
                None => segmented.extend(part),
            }
        }
    }

    /// Forward filtering, backward sampling: the probability of each prefix, and then pieces from the end.
    fn segment(&self, text: &str, random: &mut Pcg64, segmented: &mut Vec<u32>) {
        // The natural logarithm of the sum over all segmentations of the text up to each byte.
        let mut sums = vec![f64::NEG_INFINITY; text.len() + 1];
        sums[0] = 0.0;
        let ending = |end: usize, sums: &[f64]| -> Vec<(usize, u32, f64)> {
            let starts = (end.saturating_sub(self.longest)..end).filter(|&start| text.is_char_boundary(start));
            let piece = |start: usize| {
                let &id = self.ids.get(&text[start..end])?;
                let score = sums[start] + self.alpha * self.pieces.get(&id)?.1;
                (score > f64::NEG_INFINITY).then_some((start, id, score))
            };
            starts.filter_map(piece).collect()
        };
        for end in (1..=text.len()).filter(|&end| text.is_char_boundary(end)) {
            let scores = ending(end, &sums);
            let most = scores.iter().map(|(.., score)| *score).fold(f64::NEG_INFINITY, f64::max);
            if most > f64::NEG_INFINITY {
                sums[end] = most + scores.iter().map(|(.., score)| (score - most).exp()).sum::<f64>().ln();
            }
        }
        let (mut end, start_of_word) = (text.len(), segmented.len());
        while end > 0 {
            let scores = ending(end, &sums);
            let mut left = uniform(random);
            let drawn = scores.iter().find(|(.., score)| {
                left -= (score - sums[end]).exp();
                left < 0.0
            });
            // Rounding may leave a little at the end. The pieces of a text always make it up, so that there is one.
            let Some(&(start, id, _)) = drawn.or(scores.last()) else { return };
            segmented.push(id);
            end = start;
        }
        segmented[start_of_word..].reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::SeedableRng;
    use serde_json::json;

    /// The segmentations of `aab`: each as often as its probability to the power of alpha says.
    #[test]
    fn segmentations_have_their_probabilities() {
        let scores = [("<unk>", 0.0), ("a", -1.0), ("b", -1.5), ("aa", -1.2), ("ab", -2.0), ("aab", -3.0)];
        let model = json!({"type": "Unigram", "unk_id": 0, "vocab": scores});
        let alpha = 0.5;
        let sampling = UnigramSampling::new(alpha, &model, &|_| false).unwrap();
        let all: [&[u32]; 4] = [&[1, 1, 2], &[3, 2], &[1, 4], &[5]];
        let weight = |ids: &[u32]| (alpha * ids.iter().map(|&id| scores[id as usize].1).sum::<f64>()).exp();
        let sum: f64 = all.iter().map(|ids| weight(ids)).sum();
        let mut random = Pcg64::seed_from_u64(3);
        let draws = 20_000;
        let mut counts: HashMap<Vec<u32>, f64> = HashMap::new();
        for _ in 0..draws {
            let mut drawn = Vec::new();
            sampling.sample(&[5], &mut random, &mut drawn);
            *counts.entry(drawn).or_default() += 1.0 / f64::from(draws);
        }
        assert_eq!(counts.len(), 4);
        for ids in all {
            let share = weight(ids) / sum;
            // Five standard deviations.
            let limit = 5.0 * (share * (1.0 - share) / f64::from(draws)).sqrt();
            assert!((counts[ids] - share).abs() < limit, "{ids:?}: {share} {counts:?}");
        }
        // What is unknown, or beyond the vocabulary, stays and parts words.
        let mut drawn = Vec::new();
        sampling.sample(&[0, 9, u32::MAX, 2, 0], &mut random, &mut drawn);
        assert_eq!(drawn, [0, 9, u32::MAX, 2, 0]);
    }
}
