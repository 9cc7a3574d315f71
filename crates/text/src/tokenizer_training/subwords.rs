//! Subwords by byte pair encoding, and WordPiece's from them.

use super::{ESCAPE, ESCAPED_ESCAPE, ESCAPED_SPACE, SPACE, Sample, special};
use crate::tokenizer::{SPECIAL, TokenizerConfig};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, AddedVocabulary, OffsetReferential, OffsetType, PreTokenizer, Result, Tokenizer};

/// Letters of all different words together, at most: the trainer takes some 50 bytes for each.
const MOST_LETTERS: usize = 4 << 20;
/// Letters of a word at most, where a text has no spaces; what is longer is cut for the trainers.
const LONGEST_WORD: usize = 32;

/// The letters that a vocabulary has, with how often each occurs.
pub(super) struct Alphabet {
    letters: Vec<(char, u64)>,
    known: HashSet<char>,
}

impl Alphabet {
    /// All 256 bytes, written as letters.
    pub(super) fn bytes() -> Self {
        let known: HashSet<char> = ByteLevel::alphabet().into_iter().collect();
        let mut letters: Vec<(char, u64)> = known.iter().map(|&letter| (letter, 1)).collect();
        letters.sort_unstable();
        Self { letters, known }
    }

    /// The most frequent `most` of the letters that occur often enough, as they stand in the vocabulary; those that do not
    /// fit are told.
    pub(super) fn of(sample: &Sample, config: &TokenizerConfig, most: usize) -> Result<Self> {
        let mut counts: HashMap<char, u64> = HashMap::from([(SPACE, sample.texts.len().max(1) as u64)]);
        for (letter, count) in sample.letters() {
            let written = match letter {
                ' ' => [Some(SPACE), None],
                SPACE => [Some(ESCAPE), Some(ESCAPED_SPACE)],
                ESCAPE => [Some(ESCAPE), Some(ESCAPED_ESCAPE)],
                letter => [Some(letter), None],
            };
            written.into_iter().flatten().for_each(|letter| *counts.entry(letter).or_default() += count);
        }
        let mut letters: Vec<(char, u64)> = counts.into_iter().collect();
        letters.sort_by_key(|&(letter, count)| (Reverse(count), letter));
        let all = letters.len();
        let total: u64 = letters.iter().map(|(_, count)| count).sum();
        super::check_often(&letters, config)?;
        letters.retain(|&(_, count)| count >= config.minimum_count);
        let fits = letters.len() <= most;
        letters.truncate(most);
        if !fits {
            let known: u64 = letters.iter().map(|(_, count)| count).sum();
            let unknown = 100.0 * (total - known) as f64 / total as f64;
            log::warn!(
                "[tokenizer] vocabulary = {}: the text has {all} different letters, of which the most frequent {} are \
                 entries; {unknown:.2} % of its letters are unknown. Raise it, or take kind = \"byte-bpe\".",
                config.vocabulary,
                letters.len()
            );
        }
        let known = letters.iter().map(|&(letter, _)| letter).collect();
        Ok(Self { letters, known })
    }

    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    /// Every letter with its share of the text.
    pub(super) fn shares(&self) -> impl Iterator<Item = (String, f64)> + '_ {
        let total = self.letters.iter().map(|(_, count)| count).sum::<u64>().max(1) as f64;
        self.letters.iter().map(move |&(letter, count)| (letter.to_string(), count.max(1) as f64 / total))
    }

    /// A pattern of any other letter.
    fn other(&self) -> String {
        let mut letters: Vec<u32> = self.known.iter().map(|&letter| letter as u32).collect();
        letters.sort_unstable();
        let runs = letters.chunk_by(|a, b| a + 1 == *b);
        let range = |run: &[u32]| format!("\\x{{{:X}}}-\\x{{{:X}}}", run[0], run[run.len() - 1]);
        format!("[^{}]", runs.map(range).collect::<String>())
    }
}

/// Byte pair encoding.
pub(super) fn pairs(
    tokenizer: &mut Tokenizer,
    config: &TokenizerConfig,
    alphabet: &Alphabet,
    texts: &[String],
) -> Result<()> {
    let words = words(tokenizer, &config.add, alphabet, MOST_LETTERS, texts)?;
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .special_tokens(special())
        .vocab_size(config.vocabulary)
        .min_frequency(config.minimum_count)
        .limit_alphabet(alphabet.len())
        .initial_alphabet(alphabet.known.clone())
        .build();
    let words = words.iter().map(|(word, &count)| (word.as_str().into(), count)).collect();
    let mut model = BPE::builder().unk_token(SPECIAL[0].to_owned()).build()?;
    trainer.do_train(&words, &mut model)?;
    tokenizer.with_model(model);
    Ok(())
}

/// WordPiece over the subwords that byte pair encoding found. The library makes one unknown token of a word that is too
/// long or has an unknown letter: so long words are cut, and unknown letters stand alone.
pub(super) fn wordpiece(tokenizer: &mut Tokenizer, alphabet: &Alphabet, most: usize) -> Result<()> {
    let vocabulary = super::numbered(pieces(tokenizer, most));
    let apart = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    let cut = format!("(?s).{{{LONGEST}}}");
    let mut pre_tokenizer: Value = serde_json::to_value(tokenizer.get_pre_tokenizer())?;
    if let Some(parts) = pre_tokenizer["pretokenizers"].as_array_mut() {
        parts.extend([apart(&alphabet.other()), apart(&cut)]);
    }
    tokenizer.with_pre_tokenizer(serde_json::from_value::<Option<tokenizers::PreTokenizerWrapper>>(pre_tokenizer)?);
    tokenizer.with_model(serde_json::from_value::<tokenizers::ModelWrapper>(json!({
        "type": "WordPiece", "vocab": vocabulary, "unk_token": SPECIAL[0],
        "continuing_subword_prefix": "##", "max_input_chars_per_word": LONGEST,
    }))?);
    Ok(())
}

/// Letters of a word of WordPiece, at most.
const LONGEST: usize = 100;

/// The vocabulary of WordPiece: characters at the beginning of a word and, marked `##`, within one; then the longer
/// pieces, by rank.
fn pieces(tokenizer: &Tokenizer, most: usize) -> Vec<String> {
    let ids = SPECIAL.len()..tokenizer.get_vocab_size(true);
    let tokens: Vec<String> = ids.filter_map(|id| tokenizer.id_to_token(u32::try_from(id).ok()?)).collect();
    let (alone, longer): (Vec<String>, Vec<String>) = tokens.into_iter().partition(|token| token.chars().count() == 1);
    let within = |token: &String| format!("##{token}");
    let longer = longer.iter().map(|token| if token.starts_with(SPACE) { token.clone() } else { within(token) });
    let all = SPECIAL
        .map(str::to_owned)
        .into_iter()
        .chain(alone.iter().cloned())
        .chain(alone.iter().map(within))
        .chain(longer);
    let mut seen = HashSet::new();
    all.filter(|token| seen.insert(token.clone())).take(most).collect()
}

/// How often each word of the texts occurs, in the words' order: between the tokens `add`, of letters that the vocabulary
/// has, of bounded length and number.
pub(super) fn words(
    tokenizer: &Tokenizer,
    add: &[String],
    alphabet: &Alphabet,
    most_letters: usize,
    texts: &[String],
) -> Result<BTreeMap<String, u64>> {
    let mut added = AddedVocabulary::new();
    let tokens = add.iter().map(|token| AddedToken::from(token.as_str(), false).normalized(false));
    added.add_tokens(tokens, tokenizer.get_model(), tokenizer.get_normalizer())?;
    let mut words: BTreeMap<String, u64> = BTreeMap::new();
    for text in texts {
        let mut text = added.extract_and_normalize(tokenizer.get_normalizer(), text);
        if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut text)?;
        }
        for (word, _, token) in text.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            if token.is_some() {
                continue;
            }
            for word in word.split(|letter| !alphabet.known.contains(&letter)).flat_map(cut) {
                match words.get_mut(word) {
                    Some(count) => *count += 1,
                    None => drop(words.insert(word.to_owned(), 1)),
                }
            }
        }
    }
    Ok(fewer(words, most_letters))
}

/// A word in pieces that are not too long.
fn cut(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(LONGEST_WORD).map_or(rest.len(), |(end, _)| end);
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// At most so many letters of different words: the frequent ones, and an even choice of the rest.
fn fewer(words: BTreeMap<String, u64>, most: usize) -> BTreeMap<String, u64> {
    let letters = |word: &String| word.chars().count();
    let all: usize = words.keys().map(letters).sum();
    if all <= most {
        return words;
    }
    let mut frequent: Vec<(String, u64)> = words.into_iter().collect();
    frequent.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    let mut room = most / 2;
    let kept = frequent.iter().take_while(|(word, _)| {
        let fits = letters(word) <= room;
        room -= if fits { letters(word) } else { 0 };
        fits
    });
    let kept = kept.count();
    let rest = frequent.split_off(kept);
    let left: usize = rest.iter().map(|(word, _)| letters(word)).sum();
    let every = left.div_ceil((most / 2).max(1)).max(1);
    frequent.extend(rest.into_iter().step_by(every));
    frequent.into_iter().collect()
}
