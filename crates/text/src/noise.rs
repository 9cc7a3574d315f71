//! Noise on sources: words that are left out, masked or moved, drawn anew in every epoch (Lample et al. 2018, arXiv 1711.00043).

use crate::{TextError, Tokenizer};
use rand_core::Rng;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// The table `[data.noise]` of a recipe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct NoiseConfig {
    /// The share of the words that are left out.
    pub drop: f64,
    /// The share of the words that are left which become the unknown token.
    pub mask: f64,
    /// How many places a word moves at most.
    pub swap: usize,
}

/// Noise on the ids of a tokenizer.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    config: NoiseConfig,
    /// Whether a token begins a word, by its id.
    begins: Arc<[bool]>,
    mask: u32,
}

impl Noise {
    /// That of sources that this tokenizer encodes.
    ///
    /// # Errors
    /// Where it has no unknown token to mask with, or words cannot be told from its tokens.
    pub fn new(config: NoiseConfig, tokenizer: &Tokenizer) -> Result<Self, TextError> {
        let mask = tokenizer.special().unknown;
        if mask.is_none() && config.mask > 0.0 {
            let reason = "data.noise.mask: it has no unknown token to mask words with. Leave it out";
            return Err(TextError::Tokenizer(reason.to_owned()));
        }
        let written = tokenizer.token_bytes()?;
        let begins = |id: usize| {
            let bytes = u32::try_from(id).ok().and_then(|id| written.get(id, false));
            bytes.is_some_and(|bytes| bytes.first().is_some_and(u8::is_ascii_whitespace))
        };
        Ok(Self { config, begins: (0..written.len()).map(begins).collect(), mask: mask.unwrap_or_default() })
    }

    /// Changes the words of a text; one word at least is left.
    pub(crate) fn apply(&self, ids: &[u32], random: &mut Pcg64) -> Vec<u32> {
        let NoiseConfig { drop, mask, swap } = self.config;
        let mut words: Vec<(f64, Range<usize>)> = Vec::new();
        let begins = |id: &u32| self.begins.get(*id as usize).is_some_and(|begins| *begins);
        for (at, id) in ids.iter().enumerate() {
            match words.last_mut().filter(|_| !begins(id)) {
                Some((_, word)) => word.end = at + 1,
                None => words.push((words.len() as f64, at..at + 1)),
            }
        }
        // A place and up to so many more: words overtake others by no more.
        words.iter_mut().for_each(|(place, _)| *place += uniform(random) * (swap as f64 + 1.0));
        // A first word without the space before it would join another one elsewhere.
        if let (Some((place, _)), false) = (words.first_mut(), ids.first().is_some_and(begins)) {
            *place = -1.0;
        }
        words.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let mut kept: Vec<Range<usize>> = Vec::new();
        for (_, word) in &words {
            if uniform(random) >= drop {
                kept.push(word.clone());
            }
        }
        if kept.is_empty() {
            let at = (uniform(random) * words.len() as f64) as usize;
            kept.extend(words.get(at).map(|(_, word)| word.clone()));
        }
        let mut noisy = Vec::with_capacity(ids.len());
        for word in kept {
            match uniform(random) < mask {
                true => noisy.push(self.mask),
                false => noisy.extend_from_slice(&ids[word]),
            }
        }
        noisy
    }
}

/// A number from 0 to below 1.
fn uniform(random: &mut Pcg64) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TokenizerConfig, TokenizerKind};

    const TEXT: &str = "one two, three four five six seven eight nine ten eleven twelve";

    fn tokenizer(kind: TokenizerKind) -> Tokenizer {
        let config = TokenizerConfig { kind, vocabulary: 300, ..Default::default() };
        let texts = std::iter::repeat_n(TEXT.to_owned(), 9).map(Ok);
        Tokenizer::train(&config, false, texts).unwrap()
    }

    fn noisy(tokenizer: &Tokenizer, config: NoiseConfig, seed: u128) -> Vec<String> {
        let noise = Noise::new(config, tokenizer).unwrap();
        let ids = noise.apply(&tokenizer.encode(TEXT).unwrap(), &mut Pcg64::new(seed, 1));
        if noise.config.mask == 0.0 {
            return tokenizer.decode(&ids).unwrap().split_whitespace().map(str::to_owned).collect();
        }
        // Of whole words.
        let word = |&id: &u32| if id == noise.mask { "?".to_owned() } else { tokenizer.decode(&[id]).unwrap() };
        ids.iter().map(word).collect()
    }

    #[test]
    fn words_move_no_further_and_stay_whole() {
        let words: Vec<&str> = TEXT.split(' ').collect();
        for kind in [TokenizerKind::Bpe, TokenizerKind::ByteBpe, TokenizerKind::Unigram, TokenizerKind::Word] {
            let tokenizer = tokenizer(kind);
            let mut furthest = 0;
            for seed in 0..200 {
                let found = noisy(&tokenizer, NoiseConfig { swap: 3, ..Default::default() }, seed);
                assert_eq!(found.len(), words.len(), "{kind}: {found:?}");
                for (place, word) in found.iter().enumerate() {
                    let from =
                        words.iter().position(|known| known == word).unwrap_or_else(|| panic!("{kind}: {found:?}"));
                    furthest = furthest.max(place.abs_diff(from));
                }
            }
            assert_eq!(furthest, 3, "{kind}");
            assert_eq!(noisy(&tokenizer, NoiseConfig::default(), 1), words, "{kind}");
        }
    }

    #[test]
    fn shares_are_left_out_and_masked_and_one_word_is_left() {
        let tokenizer = tokenizer(TokenizerKind::Word);
        let (mut kept, mut masked) = (0, 0);
        for seed in 0..2000 {
            let found = noisy(&tokenizer, NoiseConfig { drop: 0.25, mask: 0.5, swap: 0 }, seed);
            (kept, masked) = (kept + found.len(), masked + found.iter().filter(|word| *word == "?").count());
        }
        let share = kept as f64 / (2000.0 * 12.0);
        assert!((share - 0.75).abs() < 0.01, "{share}");
        let share = masked as f64 / kept as f64;
        assert!((share - 0.5).abs() < 0.02, "{share}");
        let all = NoiseConfig { drop: 0.999_999, mask: 0.0, swap: 0 };
        assert!((0..50).all(|seed| noisy(&tokenizer, all.clone(), seed).len() == 1));
        let noise = Noise::new(all, &tokenizer).unwrap();
        assert!(noise.apply(&[], &mut Pcg64::new(1, 1)).is_empty());
    }
}
