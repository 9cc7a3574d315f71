//! Subwords by byte pair encoding, and WordPiece's from them.

use super::entries::{check_often, numbered, special};
use super::sample::Sample;
use super::spaces::{ESCAPE, ESCAPED_ESCAPE, ESCAPED_SPACE, SPACE};
use crate::tokenizer::{SPECIAL, TokenizerConfig};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, AddedVocabulary, OffsetReferential, OffsetType, PreTokenizer, Result, Tokenizer};

/// Characters of all different words together, at most: the trainer takes some 50 bytes for each.
const MOST_CHARACTERS: usize = 4 << 20;
/// Texts whose words a thread counts at once.
const CHUNK: usize = 4096;
/// Characters of a word at most, where a text has no spaces; what is longer is cut for the trainers.
const LONGEST_WORD: usize = 32;

/// The characters that a vocabulary has, with how often each occurs.
pub(super) struct Alphabet {
    characters: Vec<(char, u64)>,
    known: HashSet<char>,
}

impl Alphabet {
    /// All 256 bytes, written as characters.
    pub(super) fn bytes() -> Self {
        let known: HashSet<char> = ByteLevel::alphabet().into_iter().collect();
        let mut characters: Vec<(char, u64)> = known.iter().map(|&character| (character, 1)).collect();
        characters.sort_unstable();
        Self { characters, known }
    }

    /// The most frequent `most` of the characters that occur often enough, as they stand in the vocabulary; those that do not
    /// fit are logged.
    pub(super) fn of(sample: &Sample, config: &TokenizerConfig, most: usize) -> Result<Self> {
        let mut counts: HashMap<char, u64> = HashMap::from([(SPACE, sample.texts.len().max(1) as u64)]);
        for (character, count) in sample.characters() {
            let written = match character {
                ' ' => [Some(SPACE), None],
                SPACE => [Some(ESCAPE), Some(ESCAPED_SPACE)],
                ESCAPE => [Some(ESCAPE), Some(ESCAPED_ESCAPE)],
                character => [Some(character), None],
            };
            written.into_iter().flatten().for_each(|character| *counts.entry(character).or_default() += count);
        }
        let mut characters: Vec<(char, u64)> = counts.into_iter().collect();
        characters.sort_by_key(|&(character, count)| (Reverse(count), character));
        let all = characters.len();
        let total: u64 = characters.iter().map(|(_, count)| count).sum();
        check_often(&characters, config)?;
        characters.retain(|&(_, count)| count >= config.minimum_count);
        let fits = characters.len() <= most;
        characters.truncate(most);
        if !fits {
            let known: u64 = characters.iter().map(|(_, count)| count).sum();
            let unknown = 100.0 * (total - known) as f64 / total as f64;
            log::warn!(
                "[tokenizer] vocabulary = {}: the text has {all} different characters, of which the most frequent {} are \
                 entries; {unknown:.2} % of its characters are unknown. Raise it, or take kind = \"byte-bpe\".",
                config.vocabulary,
                characters.len()
            );
        }
        let known = characters.iter().map(|&(character, _)| character).collect();
        Ok(Self { characters, known })
    }

    pub(super) fn len(&self) -> usize {
        self.characters.len()
    }

    /// Every character with its share of the text.
    pub(super) fn shares(&self) -> impl Iterator<Item = (String, f64)> + '_ {
        let total = self.characters.iter().map(|(_, count)| count).sum::<u64>().max(1) as f64;
        self.characters.iter().map(move |&(character, count)| (character.to_string(), count.max(1) as f64 / total))
    }

    /// A pattern of any other character.
    fn other(&self) -> String {
        let mut characters: Vec<u32> = self.known.iter().map(|&character| character as u32).collect();
        characters.sort_unstable();
        let runs = characters.chunk_by(|a, b| a + 1 == *b);
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
    let words = words(tokenizer, &config.add, alphabet, MOST_CHARACTERS, texts)?;
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

/// WordPiece over the subwords that byte pair encoding found. `tokenizers` makes one unknown token of a word that is too
/// long or has an unknown character: so long words are cut, and unknown characters stand alone.
pub(super) fn wordpiece(tokenizer: &mut Tokenizer, alphabet: &Alphabet, most: usize) -> Result<()> {
    let vocabulary = numbered(pieces(tokenizer, most));
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

/// Characters of a word of WordPiece, at most.
const LONGEST: usize = 100;

/// The vocabulary of WordPiece: characters at the start of a word and, marked `##`, within one; then the longer
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

/// How often each word of the texts occurs, in the words' order: between the tokens `add`, of characters that the vocabulary
/// has, of bounded length and number.
pub(super) fn words(
    tokenizer: &Tokenizer,
    add: &[String],
    alphabet: &Alphabet,
    most_characters: usize,
    texts: &[String],
) -> Result<BTreeMap<String, u64>> {
    let mut added = AddedVocabulary::new();
    let tokens = add.iter().map(|token| AddedToken::from(token.as_str(), false).normalized(false));
    added.add_tokens(tokens, tokenizer.get_model(), tokenizer.get_normalizer())?;
    let counted = |texts: &[String]| {
        let mut words: HashMap<String, u64> = HashMap::new();
        for text in texts {
            let mut text = added.extract_and_normalize(tokenizer.get_normalizer(), text);
            if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
                pre_tokenizer.pre_tokenize(&mut text)?;
            }
            for (word, _, token) in text.get_splits(OffsetReferential::Original, OffsetType::Byte) {
                if token.is_some() {
                    continue;
                }
                for word in word.split(|character| !alphabet.known.contains(&character)).flat_map(cut) {
                    match words.get_mut(word) {
                        Some(count) => *count += 1,
                        None => drop(words.insert(word.to_owned(), 1)),
                    }
                }
            }
        }
        Ok::<_, tokenizers::Error>(words)
    };
    let sum = |mut words: HashMap<String, u64>, more: HashMap<String, u64>| {
        more.into_iter().for_each(|(word, count)| *words.entry(word).or_default() += count);
        Ok(words)
    };
    let words = texts.par_chunks(CHUNK).map(counted).try_reduce(HashMap::new, sum)?;
    Ok(fewer(words.into_iter().collect(), most_characters))
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

/// At most so many characters of different words: the frequent ones, and an even choice of the rest.
fn fewer(words: BTreeMap<String, u64>, most: usize) -> BTreeMap<String, u64> {
    let characters = |word: &String| word.chars().count();
    let all: usize = words.keys().map(characters).sum();
    if all <= most {
        return words;
    }
    let mut frequent: Vec<(String, u64)> = words.into_iter().collect();
    frequent.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    let mut room = most / 2;
    let kept = frequent.iter().take_while(|(word, _)| {
        let fits = characters(word) <= room;
        room -= if fits { characters(word) } else { 0 };
        fits
    });
    let kept = kept.count();
    let rest = frequent.split_off(kept);
    let left: usize = rest.iter().map(|(word, _)| characters(word)).sum();
    let every = left.div_ceil((most / 2).max(1)).max(1);
    frequent.extend(rest.into_iter().step_by(every));
    frequent.into_iter().collect()
}
