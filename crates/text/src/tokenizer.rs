use crate::TextError;
use crate::vocabulary::train;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer as Inner};

/// The id of what the vocabulary does not have.
pub const UNK: u32 = 0;
/// The id of the beginning of a sequence.
pub const BOS: u32 = 1;
/// The id of the end of a sequence.
pub const EOS: u32 = 2;

/// Which ids of a tokenizer that was made elsewhere are special: the table `special` in a recipe's `[tokenizer]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Special {
    /// What the vocabulary does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<u32>,
    /// What stands before the first token that is written.
    pub beginning: u32,
    /// What stands after the last one, and at the end of a source.
    pub end: u32,
    /// Entries of the model's tables, where they are more than the tokenizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<usize>,
}

impl Default for Special {
    /// Those of the tokenizers that are trained here.
    fn default() -> Self {
        Self { unknown: Some(UNK), beginning: BOS, end: EOS, entries: None }
    }
}

impl Special {
    /// What of a prompt and of its answer stands between the beginning and the end of a sequence: templates of chats may
    /// have written them already.
    pub fn between<'a>(&self, prompt: &'a [u32], answer: &'a [u32]) -> (&'a [u32], &'a [u32]) {
        let end = answer.iter().position(|&id| id == self.end).unwrap_or(answer.len());
        (prompt.strip_prefix(&[self.beginning]).unwrap_or(prompt), &answer[..end])
    }
}

/// What a tokenizer that is read has to bear.
const TRIAL: [&str; 3] = ["a", "A line, 12 Zeichen: ﬁ ﾊ", "我们 ñandú\n"];

/// These three, in the order of their ids.
pub(crate) const SPECIAL: [&str; 3] = ["<unk>", "<s>", "</s>"];

/// How text becomes ids: a `[tokenizer]` table of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenizerConfig {
    /// What the tokens are.
    pub kind: TokenizerKind,
    /// Entries in the vocabulary at most, the special ones among them. Of `byte` it is always 259.
    pub vocabulary: usize,
    /// How often a token must occur in the text to be an entry of its own.
    pub minimum_count: u64,
    /// Whether subwords never join digits: what a number means is easier to see digit by digit.
    pub split_digits: bool,
    /// Tokens that are entries of their own, such as `<|user|>`, and are found in a text wherever they stand. They come
    /// after all others, also after those of a tokenizer that a run begins with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Of a tokenizer that was made elsewhere, which ids are special.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special: Option<Special>,
}

/// What the tokens are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// Subwords by byte pair encoding, made of characters (Sennrich et al. 2016, arXiv 1508.07909).
    Bpe,
    /// Subwords by byte pair encoding, made of bytes: nothing is unknown.
    ByteBpe,
    /// Subwords by a unigram language model (Kudo 2018, arXiv 1804.10959).
    Unigram,
    /// Subwords by WordPiece; Chinese characters stand alone.
    Wordpiece,
    /// What stands between spaces.
    Word,
    /// Characters.
    Character,
    /// Bytes.
    Byte,
}

impl TokenizerKind {
    pub(crate) fn is_subword(self) -> bool {
        matches!(self, Self::Bpe | Self::ByteBpe | Self::Unigram | Self::Wordpiece)
    }
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self {
            kind: TokenizerKind::Bpe,
            vocabulary: 8000,
            minimum_count: 1,
            split_digits: false,
            add: Vec::new(),
            special: None,
        }
    }
}

impl TokenizerConfig {
    /// That every number is in its range.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let vocabulary = self.vocabulary;
        if !(4..=1_000_000).contains(&vocabulary) {
            return Err(format!("vocabulary = {vocabulary}: expected a number from 4 to 1000000"));
        }
        if self.kind == TokenizerKind::ByteBpe && vocabulary < 259 {
            return Err(format!("vocabulary = {vocabulary}: expected 259 or more, as there are 256 bytes"));
        }
        match self.add.iter().find(|token| token.trim().is_empty()) {
            Some(token) => Err(format!("add = [{token:?}]: expected more than spaces")),
            None => Ok(()),
        }
    }
}

/// Turns text into ids and back: a tokenizer of the Hugging Face `tokenizers` library, in its file format.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: Inner,
    special: Special,
}

impl Tokenizer {
    /// Trains a tokenizer on texts; `continuous` if they are pieces of one text, whose spaces are all kept.
    ///
    /// # Errors
    /// The first error of `texts`; [`TextError::Tokenizer`] where the texts are too little for the kind.
    pub fn train(
        config: &TokenizerConfig,
        continuous: bool,
        texts: impl Iterator<Item = Result<String, TextError>> + Send,
    ) -> Result<Self, TextError> {
        let mut error = None;
        let texts = texts.map_while(|text| text.map_err(|e| error = Some(e)).ok());
        let inner = train(config, continuous, texts);
        error.map_or_else(|| Self::new(inner.map_err(wrong)?, None)?.with_tokens(&config.add), Err)
    }

    /// With these tokens after its own, as [`TokenizerConfig::add`] says.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn with_tokens(mut self, tokens: &[String]) -> Result<Self, TextError> {
        let added = tokens.iter().map(|token| AddedToken::from(token.as_str(), false).normalized(false));
        self.inner.add_tokens(added).map_err(wrong)?;
        Ok(self)
    }

    /// Reads a `tokenizer.json`: one that was trained here, or one that was made elsewhere, with these special ids.
    ///
    /// # Errors
    /// Where the file cannot be read, or is no tokenizer with these special tokens.
    pub fn load(path: &Path, special: Option<Special>) -> Result<Self, TextError> {
        let bytes = std::fs::read(path).map_err(|error| TextError::io("read", path, error))?;
        let damaged = |reason: String| TextError::Tokenizer(format!("{} cannot be read: {reason}", path.display()));
        // The library panics on some damaged files, as it reads them or as it first meets a text.
        let read = || {
            let inner = Inner::from_bytes(&bytes).map_err(|error| error.to_string())?;
            let tokenizer = Self::new(inner, special).map_err(|error| error.to_string())?;
            TRIAL.iter().try_for_each(|text| tokenizer.encode(text).map(drop).map_err(|error| error.to_string()))?;
            Ok(tokenizer)
        };
        let panicked = |_| Err("its parts do not fit together".to_owned());
        std::panic::catch_unwind(read).unwrap_or_else(panicked).map_err(damaged)
    }

    /// Reads byte pairs as GPT-2 has them, in two files: entries with their ids as JSON, and merges line by line.
    ///
    /// # Errors
    /// Where either cannot be read.
    pub fn load_byte_pairs(vocabulary: &Path, merges: &Path, special: Special) -> Result<Self, TextError> {
        for path in [vocabulary, merges] {
            std::fs::metadata(path).map_err(|error| TextError::io("read", path, error))?;
        }
        let damaged = |error: tokenizers::Error| {
            TextError::Tokenizer(format!("{} and {} cannot be read: {error}", vocabulary.display(), merges.display()))
        };
        let name = |path: &Path| path.to_string_lossy().into_owned();
        let model = BPE::from_file(&name(vocabulary), &name(merges)).build().map_err(damaged)?;
        let mut inner = Inner::new(model);
        inner.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
        inner.with_decoder(Some(ByteLevel::default()));
        let tokens = [special.beginning, special.end].into_iter().filter_map(|id| inner.id_to_token(id));
        let tokens: Vec<AddedToken> = tokens.map(|token| AddedToken::from(token, true)).collect();
        inner.add_special_tokens(tokens).map_err(damaged)?;
        Self::new(inner, Some(special))
    }

    fn new(mut inner: Inner, special: Option<Special>) -> Result<Self, TextError> {
        // What a file was used with before is no part of what its texts mean.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(wrong)?;
        if let Some(special) = special {
            let entries = special.entries.unwrap_or(0).max(inner.get_vocab_size(true));
            let ids = [Some(special.beginning), Some(special.end), special.unknown];
            return match ids.into_iter().flatten().find(|&id| id as usize >= entries) {
                Some(id) => Err(TextError::Tokenizer(format!("special id {id} is outside its {entries} entries"))),
                None => Ok(Self { inner, special }),
            };
        }
        // What looks like a special token in a text is text.
        inner.set_encode_special_tokens(true);
        match (0..).zip(SPECIAL).find(|(id, token)| inner.token_to_id(token) != Some(*id)) {
            Some((id, token)) => Err(TextError::Tokenizer(format!("its entry {id} is not {token}"))),
            None => Ok(Self { inner, special: Special::default() }),
        }
    }

    /// Which ids are special.
    pub fn special(&self) -> Special {
        self.special
    }

    /// The tokenizer in the format of `tokenizer.json`.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn to_json(&self) -> Result<String, TextError> {
        self.inner.to_string(false).map_err(wrong)
    }

    /// How many entries a model's tables have.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true).max(self.special.entries.unwrap_or(0))
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id, as it stands in the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether a token stands for no text, as most beginnings and ends do.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.get_added_tokens_decoder().get(&id).is_some_and(|token| token.special)
    }

    /// The ids of a text, without beginning and end.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        Ok(self.inner.encode_fast(text, false).map_err(wrong)?.get_ids().to_vec())
    }

    /// The ids of many texts, on all cores.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn encode_all(&self, texts: Vec<String>) -> Result<Vec<Vec<u32>>, TextError> {
        let encodings = self.inner.encode_batch_fast(texts, false).map_err(wrong)?;
        Ok(encodings.iter().map(|encoding| encoding.get_ids().to_vec()).collect())
    }

    /// The parts of a text that the vocabulary does not have, in their order.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn unknown_parts<'a>(&self, text: &'a str) -> Result<Vec<&'a str>, TextError> {
        let encoding = self.inner.encode(text, false).map_err(wrong)?;
        let parts = encoding.get_ids().iter().zip(encoding.get_offsets());
        let unknown = parts.filter(|&(&id, _)| Some(id) == self.special.unknown);
        Ok(unknown.filter_map(|(_, &(start, end))| text.get(start..end)).collect())
    }

    /// The text of ids; beginning and end are left out.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        self.inner.decode(ids, true).map_err(wrong)
    }
}

fn wrong(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TextError {
    TextError::Tokenizer(error.into().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use TokenizerKind::{Bpe, Byte, ByteBpe, Character, Unigram, Word, Wordpiece};

    const TEXTS: [&str; 6] = [
        "the quick brown fox jumps over the lazy dog",
        "the dog sleeps, the fox jumps; newer and lower",
        "我们今天去学校,我们明天也去学校",
        "今天的天气很好",
        "they say the newest is the lowest </s> of <s> all",
        "C++ and #1 ##x",
    ];

    fn trained(kind: TokenizerKind, vocabulary: usize) -> Tokenizer {
        let config = TokenizerConfig { kind, vocabulary, ..Default::default() };
        Tokenizer::train(&config, false, TEXTS.iter().map(|text| Ok((*text).to_owned())))
            .unwrap_or_else(|error| panic!("{kind:?}: {error}"))
    }

    #[test]
    fn every_kind_gives_back_the_text_and_survives_its_file() {
        for kind in [Bpe, ByteBpe, Unigram, Wordpiece, Word, Character, Byte] {
            let tokenizer = trained(kind, 400);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("tokenizer.json");
            std::fs::write(&path, tokenizer.to_json().unwrap()).unwrap();
            let loaded = Tokenizer::load(&path, None).unwrap();
            // To a vocabulary of words, a word that looks like a special token is unknown.
            let texts = TEXTS.into_iter().filter(|text| kind != Word || !text.contains("<s>"));
            for text in texts {
                let ids = tokenizer.encode(text).unwrap();
                assert!(ids.iter().all(|&id| id > EOS), "{kind:?} {text} {ids:?}");
                assert_eq!(tokenizer.decode(&ids).unwrap(), text, "{kind:?}");
                assert_eq!(loaded.encode(text).unwrap(), ids, "{kind:?}");
                assert_eq!(loaded.decode(&ids).unwrap(), text, "{kind:?}");
            }
            let all = tokenizer.encode_all(TEXTS.map(str::to_owned).to_vec()).unwrap();
            assert_eq!(all, TEXTS.map(|text| tokenizer.encode(text).unwrap()), "{kind:?}");
            assert!(tokenizer.vocabulary() <= 400, "{kind:?} {}", tokenizer.vocabulary());
        }
    }

    #[test]
    fn a_continuous_text_keeps_its_spaces_and_lines() {
        for kind in [Bpe, ByteBpe, Unigram, Wordpiece, Character, Byte] {
            let config = TokenizerConfig { kind, vocabulary: 300, ..Default::default() };
            let text = " one two\n\n  three two\n";
            let tokenizer = Tokenizer::train(&config, true, std::iter::once(Ok(text.to_owned()))).unwrap();
            assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text, "{kind:?}");
        }
    }

    #[test]
    fn a_word_before_a_full_stop_is_the_same_word() {
        for kind in [Bpe, ByteBpe, Unigram, Wordpiece] {
            let config = TokenizerConfig { kind, vocabulary: 600, ..Default::default() };
            let texts = ["a word.", "a word, a \"word\"", "the word."].iter().cycle().take(60);
            let tokenizer = Tokenizer::train(&config, false, texts.map(|text| Ok((*text).to_owned()))).unwrap();
            let [alone, ended] = ["a word", "a word."].map(|text| tokenizer.encode(text).unwrap());
            assert_eq!(ended[..alone.len()], alone, "{kind:?}");
            let text = "the \"word\", a word . ,";
            assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text, "{kind:?}");
        }
    }

    #[test]
    fn digits_stand_alone_where_asked() {
        for kind in [Bpe, ByteBpe, Unigram, Wordpiece] {
            let config = TokenizerConfig { kind, vocabulary: 400, split_digits: true, ..Default::default() };
            let texts = || (0..50).map(|i| Ok(format!("in 1984 and 2048 {i}")));
            let tokenizer = Tokenizer::train(&config, false, texts()).unwrap();
            let ids = tokenizer.encode("in 2048").unwrap();
            let tokens: Vec<String> = ids.iter().map(|&id| tokenizer.token(id).unwrap()).collect();
            assert!(tokens.concat().replace("##", "").ends_with("2048"), "{kind:?} {tokens:?}");
            assert!(tokens.iter().all(|token| token.matches(char::is_numeric).count() <= 1), "{kind:?} {tokens:?}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), "in 2048", "{kind:?}");
        }
    }

    #[test]
    fn what_is_not_in_the_vocabulary_is_unknown_but_to_bytes() {
        for kind in [Bpe, Unigram, Wordpiece, Word, Character] {
            assert!(trained(kind, 400).encode("ж").unwrap().contains(&UNK), "{kind:?}");
        }
        for kind in [ByteBpe, Byte] {
            let tokenizer = trained(kind, 400);
            assert_eq!(tokenizer.decode(&tokenizer.encode("жЖ").unwrap()).unwrap(), "жЖ");
        }
        assert_eq!(trained(Byte, 400).vocabulary(), 259);
    }

    #[test]
    fn subwords_are_fewer_than_characters_and_the_vocabulary_is_bounded() {
        let characters = trained(Character, 400).encode(TEXTS[0]).unwrap().len();
        for kind in [Bpe, Unigram, Wordpiece] {
            assert!(trained(kind, 400).encode(TEXTS[0]).unwrap().len() < characters, "{kind:?}");
        }
        assert_eq!(trained(Character, 20).vocabulary(), 20);
        assert_eq!(trained(Word, 9).vocabulary(), 9);
    }

    #[test]
    fn added_tokens_stand_alone_and_come_last() {
        for kind in [Bpe, ByteBpe, Unigram, Wordpiece, Character, Byte] {
            let plain = trained(kind, 400);
            let tokenizer = plain.clone().with_tokens(&["<|a|>".to_owned(), "<|b|>".to_owned()]).unwrap();
            assert_eq!(tokenizer.vocabulary(), plain.vocabulary() + 2, "{kind:?}");
            let ids = tokenizer.encode("<|b|>the fox<|a|>").unwrap();
            let last = plain.vocabulary() as u32;
            assert_eq!((ids.first(), ids.last()), (Some(&(last + 1)), Some(&last)), "{kind:?}");
            assert!(tokenizer.decode(&ids).unwrap().contains("<|a|>"), "{kind:?}");
            assert_eq!(tokenizer.encode(TEXTS[0]).unwrap(), plain.encode(TEXTS[0]).unwrap(), "{kind:?}");
        }
    }

    #[test]
    fn training_is_the_same_every_time() {
        for kind in [Bpe, ByteBpe, Unigram, Wordpiece, Word, Character] {
            assert_eq!(trained(kind, 300).to_json().unwrap(), trained(kind, 300).to_json().unwrap(), "{kind:?}");
        }
        // Too few for all characters, many of which occur once.
        for kind in [Bpe, Wordpiece, Character] {
            assert_eq!(trained(kind, 60).to_json().unwrap(), trained(kind, 60).to_json().unwrap(), "{kind:?}");
        }
    }

    #[test]
    fn errors_are_told() {
        let texts = [Ok("a b".to_owned()), Err(TextError::Empty { path: "x".into() })];
        let error = Tokenizer::train(&TokenizerConfig::default(), false, texts.into_iter()).unwrap_err();
        assert!(matches!(error, TextError::Empty { .. }));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, "{}").unwrap();
        assert!(matches!(Tokenizer::load(&path, None), Err(TextError::Tokenizer(_))));
        let error = TokenizerConfig { kind: ByteBpe, vocabulary: 100, ..Default::default() }.validate().unwrap_err();
        assert!(error.contains("259"));
    }
}
