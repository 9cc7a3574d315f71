//! Trains the tokenizers of the library, so that the same text always gives the same vocabulary: what the library's own
//! trainers leave to the order of a hash map is brought into a fixed order here.

use crate::tokenizer::{SPECIAL, TokenizerConfig, TokenizerKind};
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::iter::repeat_n;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, ModelWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Trainer};
use tokenizers::{Result, Tokenizer};

/// Trains a tokenizer of the given kind.
pub(crate) fn train(
    config: &TokenizerConfig,
    continuous: bool,
    texts: impl Iterator<Item = String> + Send,
) -> Result<Tokenizer> {
    let mut tokenizer = untrained(config, continuous)?;
    let TokenizerConfig { kind, vocabulary, minimum_count, .. } = *config;
    match kind {
        TokenizerKind::Bpe | TokenizerKind::ByteBpe => pairs(&mut tokenizer, config, texts)?,
        TokenizerKind::Wordpiece => {
            pairs(&mut tokenizer, config, texts)?;
            let vocabulary = numbered(pieces(&tokenizer, vocabulary));
            tokenizer.with_model(serde_json::from_value::<ModelWrapper>(json!({
                "type": "WordPiece", "vocab": vocabulary, "unk_token": SPECIAL[0],
                "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            }))?);
        }
        TokenizerKind::Unigram => {
            let model = unigram(&tokenizer, vocabulary, texts)?;
            tokenizer.with_model(model);
        }
        TokenizerKind::Word => {
            let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let words = most_frequent(texts.flat_map(words), vocabulary, minimum_count);
            tokenizer.with_model(serde_json::from_value::<ModelWrapper>(json!({
                "type": "WordLevel", "vocab": numbered(words), "unk_token": SPECIAL[0],
            }))?);
        }
        TokenizerKind::Character => {
            let characters = |text: String| text.chars().map(String::from).collect::<Vec<_>>();
            let characters = most_frequent(texts.flat_map(characters), vocabulary, minimum_count);
            tokenizer.with_model(symbols_alone(characters)?);
        }
        TokenizerKind::Byte => {
            texts.for_each(drop);
            let mut bytes: Vec<String> = ByteLevel::alphabet().into_iter().map(String::from).collect();
            bytes.sort_unstable();
            tokenizer.with_model(symbols_alone(SPECIAL.map(str::to_owned).into_iter().chain(bytes))?);
        }
    }
    tokenizer.add_special_tokens(special())?;
    Ok(tokenizer)
}

/// A tokenizer of this kind with an empty vocabulary.
fn untrained(config: &TokenizerConfig, continuous: bool) -> Result<Tokenizer> {
    let kind = config.kind;
    let model = match kind {
        TokenizerKind::Word => json!({"type": "WordLevel", "vocab": {}, "unk_token": SPECIAL[0]}),
        _ => json!({"type": "BPE", "vocab": {}, "merges": [], "unk_token": SPECIAL[0]}),
    };
    // `▁` stands for the space before a word; a line's first word has one too, so that it is the same word anywhere.
    let scheme = if continuous { "never" } else { "always" };
    let spaces = || json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true});
    // Apart, so that a word at the end of a sentence is the same word as elsewhere.
    let punctuation = || json!({"type": "Punctuation", "behavior": "Isolated"});
    let bytes = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": kind == TokenizerKind::ByteBpe,
    });
    let (pre_tokenizer, decoder) = match kind {
        TokenizerKind::Bpe | TokenizerKind::Unigram => {
            (json!({"type": "Sequence", "pretokenizers": [spaces(), punctuation()]}), spaces())
        }
        TokenizerKind::ByteBpe | TokenizerKind::Byte => (bytes.clone(), bytes),
        TokenizerKind::Wordpiece => {
            let characters =
                json!({"type": "Split", "pattern": {"Regex": r"\p{Han}"}, "behavior": "Isolated", "invert": false});
            let inner = json!({"type": "Replace", "pattern": {"Regex": "^##"}, "content": ""});
            (
                json!({"type": "Sequence", "pretokenizers": [spaces(), punctuation(), characters]}),
                json!({"type": "Sequence", "decoders": [inner, spaces()]}),
            )
        }
        TokenizerKind::Word => (json!({"type": "WhitespaceSplit"}), Value::Null),
        TokenizerKind::Character => (Value::Null, json!({"type": "Fuse"})),
    };
    let pre_tokenizer = match config.split_digits && kind.is_subword() {
        true => {
            let digits = json!({"type": "Digits", "individual_digits": true});
            json!({"type": "Sequence", "pretokenizers": [pre_tokenizer, digits]})
        }
        false => pre_tokenizer,
    };
    let mut tokenizer = Tokenizer::new(serde_json::from_value::<ModelWrapper>(model)?);
    tokenizer.with_pre_tokenizer(serde_json::from_value::<Option<PreTokenizerWrapper>>(pre_tokenizer)?);
    tokenizer.with_decoder(serde_json::from_value::<Option<DecoderWrapper>>(decoder)?);
    Ok(tokenizer)
}

fn special() -> Vec<AddedToken> {
    SPECIAL.iter().map(|&token| AddedToken::from(token, true)).collect()
}

fn numbered(tokens: impl IntoIterator<Item = String>) -> Map<String, Value> {
    tokens.into_iter().zip((0..).map(|id: u32| id.into())).collect()
}

/// Byte pair encoding. Rare characters must not fill the vocabulary; which ones stay is decided here.
fn pairs(tokenizer: &mut Tokenizer, config: &TokenizerConfig, texts: impl Iterator<Item = String>) -> Result<()> {
    let words = words(tokenizer, texts)?;
    let alphabet: HashSet<char> = if config.kind == TokenizerKind::ByteBpe {
        ByteLevel::alphabet().into_iter().collect()
    } else {
        let mut counts: BTreeMap<char, u64> = BTreeMap::new();
        for (word, &count) in &words {
            word.chars().for_each(|c| *counts.entry(c).or_default() += u64::from(count));
        }
        let mut counts: Vec<(char, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|&(c, count)| (Reverse(count), c));
        counts.into_iter().take(config.vocabulary / 2).map(|(c, _)| c).collect()
    };
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .special_tokens(special())
        .vocab_size(config.vocabulary)
        .min_frequency(config.minimum_count)
        .limit_alphabet(alphabet.len())
        .initial_alphabet(alphabet.into_iter().collect());
    let mut trainer = TrainerWrapper::from(trainer.build());
    let occurrences = words.iter().flat_map(|(word, &count)| repeat_n(word, count as usize));
    trainer.feed(occurrences, |word| Ok(vec![word.to_owned()]))?;
    let mut model = tokenizer.get_model().clone();
    trainer.train(&mut model)?;
    tokenizer.with_model(model);
    Ok(())
}

/// How often each word of the texts occurs, in the words' order.
fn words(tokenizer: &Tokenizer, texts: impl Iterator<Item = String>) -> Result<BTreeMap<String, u32>> {
    let mut words: BTreeMap<String, u32> = BTreeMap::new();
    for text in texts {
        let mut text = PreTokenizedString::from(text);
        if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut text)?;
        }
        for (word, ..) in text.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            match words.get_mut(word) {
                Some(count) => *count = count.saturating_add(1),
                None => drop(words.insert(word.to_owned(), 1)),
            }
        }
    }
    Ok(words)
}

/// Byte pair encoding before its first pair: every symbol stands alone.
fn symbols_alone(symbols: impl IntoIterator<Item = String>) -> Result<ModelWrapper> {
    let model = json!({"type": "BPE", "vocab": numbered(symbols), "merges": [], "unk_token": SPECIAL[0]});
    Ok(serde_json::from_value(model)?)
}

/// The special tokens, then the most frequent others; among equals, the first in Unicode.
fn most_frequent(tokens: impl Iterator<Item = String>, most: usize, minimum_count: u64) -> Vec<String> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    tokens.for_each(|token| *counts.entry(token).or_default() += 1);
    let usual = |(token, count): &(String, u64)| *count >= minimum_count && !SPECIAL.contains(&token.as_str());
    let mut counts: Vec<(String, u64)> = counts.into_iter().filter(usual).collect();
    counts.sort_unstable_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    SPECIAL.map(str::to_owned).into_iter().chain(counts.into_iter().map(|(token, _)| token)).take(most).collect()
}

/// The vocabulary of WordPiece, from the subwords that byte pair encoding found: characters at the beginning of a word
/// and, marked `##`, within one; then the longer pieces, by rank.
fn pieces(tokenizer: &Tokenizer, most: usize) -> Vec<String> {
    let ids = SPECIAL.len()..tokenizer.get_vocab_size(true);
    let tokens: Vec<String> = ids.filter_map(|id| tokenizer.id_to_token(u32::try_from(id).ok()?)).collect();
    let (alone, longer): (Vec<String>, Vec<String>) = tokens.into_iter().partition(|token| token.chars().count() == 1);
    let within = |token: &String| format!("##{token}");
    let longer = longer.iter().map(|token| if token.starts_with('▁') { token.clone() } else { within(token) });
    let all = SPECIAL
        .map(str::to_owned)
        .into_iter()
        .chain(alone.iter().cloned())
        .chain(alone.iter().map(within))
        .chain(longer);
    let mut seen = HashSet::new();
    all.filter(|token| seen.insert(token.clone())).take(most).collect()
}

/// The library's trainer, given the words in order and one thread, as its sums follow theirs; its result in order.
fn unigram(tokenizer: &Tokenizer, vocabulary: usize, texts: impl Iterator<Item = String>) -> Result<Unigram> {
    let words = words(tokenizer, texts)?;
    let trainer = UnigramTrainer::builder()
        .show_progress(false)
        .special_tokens(special())
        .unk_token(Some(SPECIAL[0].to_owned()))
        .vocab_size(u32::try_from(vocabulary)?)
        .build()?;
    let mut model = Unigram::default();
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    if !words.is_empty() {
        one.install(|| trainer.do_train(words.into_iter().collect(), &mut model))?;
    }
    let mut pieces: Vec<(String, f64)> = model.iter().skip(SPECIAL.len()).cloned().collect();
    // A text of one word, endlessly, leaves scores that are no numbers.
    pieces.iter_mut().filter(|(_, score)| !score.is_finite()).for_each(|(_, score)| *score = 0.0);
    settle_rare(&mut pieces);
    pieces.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
    // Never the best pieces of a text that looks like them.
    let special = SPECIAL.map(|token| (token.to_owned(), -1e3));
    Unigram::from(special.into_iter().chain(pieces).collect(), Some(0), false)
}

/// Characters that are no pieces of their own all get about the least score, 0.0001 more for each, in whatever order the
/// trainer met them: deals these scores out in the characters' own order.
fn settle_rare(pieces: &mut [(String, f64)]) {
    let least = pieces.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
    let mut alone: Vec<&mut (String, f64)> =
        pieces.iter_mut().filter(|(piece, _)| piece.chars().count() == 1).collect();
    let bound = least + 1e-4 * alone.len() as f64;
    alone.retain(|(_, score)| *score <= bound);
    let mut scores: Vec<f64> = alone.iter().map(|(_, score)| *score).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    alone.sort_by(|(a, _), (b, _)| a.cmp(b));
    alone.iter_mut().zip(scores).for_each(|((_, score), settled)| *score = settled);
}
