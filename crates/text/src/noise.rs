//! Noise on sources: words that are left out, masked or moved, drawn anew in every epoch (Lample et al. 2018, arXiv 1711.00043), and characters that
//! are mistyped or misread (Belinkov & Bisk 2018, arXiv 1711.02173).

mod confusions;

pub use confusions::KeyboardLayout;

use crate::draw::uniform;
use crate::{TextError, TokenBytes, Tokenizer};
use confusions::{has_look_alike, recognised};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use unicode_segmentation::UnicodeSegmentation;

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
    /// The share of the alphabetic characters that are mistyped.
    pub keyboard: f64,
    /// On this keyboard.
    pub layout: KeyboardLayout,
    /// The share of what looks alike that is misread.
    pub ocr: f64,
}

/// What of texts noise on characters can change.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NoiseReach {
    /// The share of the alphabetic characters that the keyboard does not have.
    pub without_key: f64,
    /// The commonest of them.
    pub commonest: String,
    /// The share of the characters that look like another one.
    pub alike: f64,
}

/// Characters that are shown of those without a key.
const SHOWN: usize = 5;

/// Noise on the ids of a tokenizer.
#[derive(Clone, Debug)]
pub struct Noise {
    config: NoiseConfig,
    tokenizer: Arc<Tokenizer>,
    written: Arc<TokenBytes>,
    mask: u32,
    longest: usize,
}

impl Noise {
    /// That of sources that this tokenizer encodes. Changed characters may make more tokens of a text, up to the longest that a source may have.
    ///
    /// # Errors
    /// Where it has no unknown token to mask with, or words cannot be told from its tokens.
    pub fn new(config: NoiseConfig, tokenizer: &Arc<Tokenizer>, longest: usize) -> Result<Self, TextError> {
        let mask = tokenizer.special().unknown;
        if mask.is_none() && config.mask > 0.0 {
            let reason = "data.noise.mask: it has no unknown token to mask words with. Leave it out";
            return Err(TextError::Tokenizer(reason.to_owned()));
        }
        let written = Arc::new(tokenizer.token_bytes()?);
        Ok(Self { config, tokenizer: tokenizer.clone(), written, mask: mask.unwrap_or_default(), longest })
    }

    fn bytes(&self, id: u32) -> &[u8] {
        self.written.get(id, false).unwrap_or_default()
    }

    /// Whether a token has the space before a word.
    fn has_space(&self, id: u32) -> bool {
        self.written.has_space(id)
    }

    /// The tokens of each word. Words begin at white space, and where Unicode Standard Annex 29 parts two alphanumeric characters, as it does in scripts
    /// without spaces: there, words would need a dictionary, and it parts characters. Punctuation belongs to the word before.
    fn words(&self, ids: &[u32]) -> Vec<Range<usize>> {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.bytes(id)).copied().collect();
        // Alphanumeric characters with the spaces between them, and where each of these is among the bytes.
        let (mut text, mut places, mut at) = (String::new(), Vec::new(), 0);
        for chunk in bytes.utf8_chunks() {
            for (offset, c) in chunk.valid().char_indices() {
                if is_letter(c) || c.is_whitespace() {
                    places.push((text.len(), at + offset));
                    text.push(c);
                }
            }
            at += chunk.valid().len() + chunk.invalid().len();
        }
        let mut before: Option<&str> = None;
        let begins: HashSet<usize> = text
            .split_word_bound_indices()
            .filter_map(|(start, part)| {
                let follows_letter = before.replace(part).is_some_and(|before| before.ends_with(is_letter));
                let is_parted = follows_letter && part.starts_with(is_letter);
                let place = places.binary_search_by_key(&start, |(letter, _)| *letter).ok().filter(|_| is_parted)?;
                Some(places[place].1)
            })
            .collect();
        let mut words: Vec<Range<usize>> = Vec::new();
        let mut byte = 0;
        for (at, &id) in ids.iter().enumerate() {
            let length = self.bytes(id).len();
            let begins_one = self.has_space(id) || (length > 0 && begins.contains(&byte));
            match words.last_mut().filter(|_| !begins_one) {
                Some(word) => word.end = at + 1,
                None => words.push(at..at + 1),
            }
            byte += length;
        }
        words
    }

    /// A text with changed characters. It is encoded anew between the tokens that write nothing, such as unknown ones; where that fails or is
    /// nothing but white space, the part stays as it is.
    fn misspelled(&self, ids: &[u32], random: &mut Pcg64) -> Vec<u32> {
        let NoiseConfig { keyboard, layout, ocr, .. } = self.config;
        let mut changed = Vec::with_capacity(ids.len() + 8);
        for part in ids.chunk_by(|&one, &next| !self.bytes(one).is_empty() && !self.bytes(next).is_empty()) {
            let at_start = changed.is_empty();
            let bytes = part.iter().enumerate().flat_map(|(at, &id)| self.written.get(id, at_start && at == 0));
            let text = String::from_utf8(bytes.flatten().copied().collect()).unwrap_or_default();
            let typed = if keyboard > 0.0 { layout.typed(&text, keyboard, random) } else { text.clone() };
            let read = if ocr > 0.0 { recognised(&typed, ocr, random) } else { typed };
            let encoded = match at_start {
                _ if read == text || read.trim().is_empty() => None,
                true => self.tokenizer.encode(&read).ok(),
                false => self.tokenizer.encode_continuation(&read).ok(),
            };
            match encoded {
                Some(encoded) => changed.extend(encoded),
                None => changed.extend_from_slice(part),
            }
        }
        changed
    }

    /// Of the alphabetic characters of texts whose tokens occur so often, the share that no key has, with the commonest; and of their characters, the share
    /// that looks like another one.
    pub fn reach(&self, occurrences: &[u64]) -> NoiseReach {
        let (mut keyless, mut alphabetic, mut alike, mut all) = (BTreeMap::new(), 0, 0, 0);
        for (id, &count) in occurrences.iter().enumerate() {
            for c in self.bytes(id as u32).utf8_chunks().flat_map(|chunk| chunk.valid().chars()) {
                if c.is_whitespace() {
                    continue;
                }
                all += count;
                alike += if has_look_alike(c) { count } else { 0 };
                if c.is_alphabetic() {
                    alphabetic += count;
                    if !self.config.layout.has(c) {
                        *keyless.entry(c).or_insert(0) += count;
                    }
                }
            }
        }
        let share = |part: u64, of: u64| part as f64 / of.max(1) as f64;
        let without_key = share(keyless.values().sum(), alphabetic);
        let mut commonest: Vec<(char, u64)> = keyless.into_iter().filter(|(_, count)| *count > 0).collect();
        commonest.sort_by_key(|(_, count)| Reverse(*count));
        NoiseReach {
            without_key,
            commonest: commonest.into_iter().take(SHOWN).map(|(c, _)| c).collect(),
            alike: share(alike, all),
        }
    }

    /// Changes the characters of a text, and then its words, of which one at least is left; after so many control tokens.
    pub(crate) fn apply(&self, ids: &[u32], control: usize, random: &mut Pcg64) -> Vec<u32> {
        let NoiseConfig { keyboard, ocr, .. } = self.config;
        if keyboard > 0.0 || ocr > 0.0 {
            let changed = self.misspelled(ids, random);
            // The model may have no positions for more.
            if control + changed.len() <= self.longest.max(control + ids.len()) {
                return self.rearranged(&changed, random);
            }
        }
        self.rearranged(ids, random)
    }

    /// Changes the words of a text; one word at least is left.
    fn rearranged(&self, ids: &[u32], random: &mut Pcg64) -> Vec<u32> {
        let NoiseConfig { drop, mask, swap, .. } = self.config;
        let words = self.words(ids);
        let has_space = |word: &Range<usize>| self.has_space(ids[word.start]);
        // A first word without the space that others have would join another one elsewhere; one with a space would part others that have none.
        let stays = matches!(&words[..], [first, second, ..] if has_space(first) != has_space(second));
        // A place and up to so many more: words overtake others by no more.
        let place = |at: usize| at as f64 + uniform(random) * (swap as f64 + 1.0);
        let mut words: Vec<(f64, Range<usize>)> = (0..words.len()).map(place).zip(words).collect();
        if let (Some((place, _)), true) = (words.first_mut(), stays) {
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

/// Whether a character is a letter or a digit: a part of words, rather than punctuation or a sign.
fn is_letter(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '0'..='9' | '\u{ff10}'..='\u{ff19}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TokenizerConfig, TokenizerKind};

    const TEXT: &str = "one two, three four five six seven eight nine ten eleven twelve";

    fn tokenizer(kind: TokenizerKind) -> Arc<Tokenizer> {
        let config = TokenizerConfig { kind, vocabulary: 300, ..Default::default() };
        let texts = std::iter::repeat_n(TEXT.to_owned(), 9).map(Ok);
        Arc::new(Tokenizer::train(&config, false, texts).unwrap())
    }

    fn noisy(tokenizer: &Arc<Tokenizer>, config: NoiseConfig, seed: u128) -> Vec<String> {
        let noise = Noise::new(config, tokenizer, usize::MAX).unwrap();
        let ids = noise.apply(&tokenizer.encode(TEXT).unwrap(), 0, &mut Pcg64::new(seed, 1));
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

    /// The words of a text, each decoded by itself.
    fn words(kind: TokenizerKind, text: &str) -> Vec<String> {
        let config = TokenizerConfig { kind, vocabulary: 400, ..Default::default() };
        let tokenizer = Tokenizer::train(&config, false, std::iter::repeat_n(text.to_owned(), 9).map(Ok)).unwrap();
        let ids = tokenizer.encode(text).unwrap();
        let tokenizer = Arc::new(tokenizer);
        let words = Noise::new(NoiseConfig::default(), &tokenizer, usize::MAX).unwrap().words(&ids);
        words.into_iter().map(|word| tokenizer.decode(&ids[word]).unwrap().trim().to_owned()).collect()
    }

    #[test]
    fn scripts_without_spaces_have_words() {
        for kind in [TokenizerKind::Byte, TokenizerKind::Character] {
            let text = "我用GPU训练，12.5公里 well-known “isn't” 東京タワーへ、行く。 \
                ภาษาไทย ພາສາ ខ្មែរ မြန်မာ हिन्दी 한국어 км²";
            let expected = "我|用|GPU|训|练，|12.5|公|里|well-known|“isn't”|東|京|タワー|へ、|行|く。|\
                ภ|า|ษ|า|ไ|ท|ย|ພ|າ|ສ|າ|ខ្|មែ|រ|မြ|န်|မာ|हिन्दी|한국어|км²";
            assert_eq!(words(kind, text).join("|"), expected, "{kind}");
            // The first word too has none that it would join.
            assert_eq!(words(kind, "你好（世界）！").join("|"), "你|好（|世|界）！", "{kind}");
        }
    }

    #[test]
    fn a_sentence_without_spaces_is_neither_masked_nor_left_out_as_a_whole() {
        let text = "我们昨天去了北京的一个大公园";
        let config = TokenizerConfig { kind: TokenizerKind::Character, vocabulary: 30, ..Default::default() };
        let tokenizer = Tokenizer::train(&config, false, std::iter::repeat_n(text.to_owned(), 9).map(Ok)).unwrap();
        let ids = tokenizer.encode(text).unwrap();
        let tokenizer = Arc::new(tokenizer);
        let apply = |config: NoiseConfig, seed| {
            Noise::new(config, &tokenizer, 99).unwrap().apply(&ids, 0, &mut Pcg64::new(seed, 1))
        };
        let unknown = tokenizer.special().unknown.unwrap();
        let (mut masked, mut kept, mut moved) = (0, 0, 0);
        for seed in 0..1000 {
            let noisy = apply(NoiseConfig { mask: 0.25, ..Default::default() }, seed);
            masked += noisy.iter().filter(|id| **id == unknown).count();
            kept += apply(NoiseConfig { drop: 0.25, ..Default::default() }, seed).len();
            let mut swapped = apply(NoiseConfig { swap: 2, ..Default::default() }, seed);
            moved += usize::from(swapped != ids);
            let mut same = ids.clone();
            swapped.sort_unstable();
            same.sort_unstable();
            assert_eq!(swapped, same);
        }
        let share = |count: usize| count as f64 / (1000.0 * text.chars().count() as f64);
        assert!((share(masked) - 0.25).abs() < 0.02, "{}", share(masked));
        assert!((share(kept) - 0.75).abs() < 0.02, "{}", share(kept));
        assert!(moved > 900, "{moved}");
    }

    #[test]
    fn shares_are_left_out_and_masked_and_one_word_is_left() {
        let tokenizer = tokenizer(TokenizerKind::Word);
        let (mut kept, mut masked) = (0, 0);
        for seed in 0..2000 {
            let found = noisy(&tokenizer, NoiseConfig { drop: 0.25, mask: 0.5, ..Default::default() }, seed);
            (kept, masked) = (kept + found.len(), masked + found.iter().filter(|word| *word == "?").count());
        }
        let share = kept as f64 / (2000.0 * 12.0);
        assert!((share - 0.75).abs() < 0.01, "{share}");
        let share = masked as f64 / kept as f64;
        assert!((share - 0.5).abs() < 0.02, "{share}");
        let all = NoiseConfig { drop: 0.999_999, ..Default::default() };
        assert!((0..50).all(|seed| noisy(&tokenizer, all.clone(), seed).len() == 1));
        let noise = Noise::new(all, &tokenizer, 99).unwrap();
        assert!(noise.apply(&[], 0, &mut Pcg64::new(1, 1)).is_empty());
    }

    #[test]
    fn characters_are_changed_and_the_text_is_encoded_anew() {
        let (text, share) = ("the silent miner clung to his rope, then we went on", 0.1);
        for kind in TokenizerKind::ALL {
            let config = TokenizerConfig { kind, vocabulary: 300, ..Default::default() };
            let others = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789,.;:".to_owned();
            let texts = std::iter::repeat_n([text.to_owned(), others], 9).flatten().map(Ok);
            let tokenizer = Arc::new(Tokenizer::train(&config, false, texts).unwrap());
            let ids = tokenizer.encode(text).unwrap();
            let typed = NoiseConfig { keyboard: share, ..Default::default() };
            let read = NoiseConfig { ocr: share, ..Default::default() };
            for config in [typed, read] {
                let apply = |config: &NoiseConfig, seed, longest| {
                    let noise = Noise::new(config.clone(), &tokenizer, longest).unwrap();
                    noise.apply(&ids, 0, &mut Pcg64::new(seed, 1))
                };
                let found: Vec<Vec<u32>> = (0..50).map(|seed| apply(&config, seed, usize::MAX)).collect();
                let changed = found.iter().filter(|noisy| **noisy != ids).count();
                assert!(changed > 25, "{kind}: {changed}");
                for (seed, noisy) in found.iter().enumerate() {
                    let written = tokenizer.decode(noisy).unwrap();
                    let unknown = tokenizer.special().unknown.is_some_and(|unknown| noisy.contains(&unknown));
                    // What it writes is what is encoded, from its first word on.
                    assert!(unknown || *noisy == tokenizer.encode(&written).unwrap(), "{kind}: {written:?}");
                    let short = apply(&config, seed as u128, ids.len());
                    assert!(short.len() <= ids.len(), "{kind}: it has positions for no more");
                }
                let none = NoiseConfig { keyboard: 0.0, ocr: 0.0, ..config };
                assert_eq!(apply(&none, 1, usize::MAX), ids, "{kind}");
            }
        }
    }

    #[test]
    fn unknown_tokens_and_other_scripts_stay() {
        let config = TokenizerConfig { kind: TokenizerKind::Character, vocabulary: 90, ..Default::default() };
        let texts = std::iter::repeat_n("see the sea, привет".to_owned(), 9).map(Ok);
        let tokenizer = Arc::new(Tokenizer::train(&config, false, texts).unwrap());
        let unknown = tokenizer.special().unknown.unwrap();
        let config = NoiseConfig { keyboard: 0.9, ..Default::default() };
        let noise = Noise::new(config, &tokenizer, usize::MAX).unwrap();
        let apply = |text: &str| noise.apply(&tokenizer.encode(text).unwrap(), 0, &mut Pcg64::new(3, 1));
        assert_eq!(apply("привет, 你привет"), tokenizer.encode("привет, 你привет").unwrap());
        // Between others, its place stays.
        let ids = apply("看 看");
        assert_eq!(ids, tokenizer.encode("看 看").unwrap());
        assert!(ids.contains(&unknown));
        let mut counts = vec![0; tokenizer.vocabulary()];
        tokenizer.encode("see привет").unwrap().into_iter().for_each(|id| counts[id as usize] += 1);
        let reach = noise.reach(&counts);
        assert_eq!((reach.without_key, reach.commonest.chars().count()), (6.0 / 9.0, 5));
        assert_eq!(reach.alike, 2.0 / 9.0);
    }
}
