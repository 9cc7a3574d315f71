use super::SpecialTokens;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::path::PathBuf;

/// These three, in the order of their ids.
pub(crate) const SPECIAL: [&str; 3] = ["<unk>", "<s>", "</s>"];

/// How text becomes ids: a `[tokenizer]` table of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenizerConfig {
    /// What the tokens are.
    pub kind: TokenizerKind,
    /// Entries in the vocabulary at most, the special ones among them, before those of `add`. Of `byte` it is always 259.
    /// Characters come first: where it does not hold all of the text's, the rarest are unknown.
    pub vocabulary: usize,
    /// How often a token must occur in the text to be an entry of its own; of `unigram`, a character.
    pub minimum_count: u64,
    /// Of `word`, a file with the words of the vocabulary, one a line, rather than the most frequent of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocabulary_file: Option<PathBuf>,
    /// Whether subwords never join digits: what a number means is easier to see digit by digit.
    pub split_digits: bool,
    /// Tokens that are entries of their own, such as `<|user|>`, and are found in a text wherever they stand. They come
    /// after all others, also after those of a tokenizer that a run begins with. The special tokens of a chat template need not be
    /// listed: they are tokens by themselves.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "each_once")]
    pub add: Vec<String>,
    /// Of a tokenizer that was made elsewhere, which ids are special.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special: Option<SpecialTokens>,
}

/// Without repetitions.
fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let mut tokens: Vec<String> = Vec::new();
    for token in Vec::<String>::deserialize(deserializer)? {
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    Ok(tokens)
}

/// What the tokens are. Decoding gives back the text that was encoded, spaces included, where no character of it was unknown;
/// but of `word`, which keeps what stands between white space alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// Subwords by byte pair encoding, made of characters (Sennrich et al. 2016, arXiv 1508.07909).
    Bpe,
    /// Subwords by byte pair encoding, made of bytes: nothing is unknown.
    ByteBpe,
    /// Subwords by a unigram language model (Kudo 2018, arXiv 1804.10959).
    Unigram,
    /// Subwords by WordPiece; Chinese characters stand alone, and so do characters that the vocabulary does not have.
    Wordpiece,
    /// What stands between white space, which itself is not kept: it comes back as single spaces.
    Word,
    /// Characters.
    Character,
    /// Bytes.
    Byte,
}

impl TokenizerKind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Bpe, Self::ByteBpe, Self::Unigram, Self::Wordpiece, Self::Word, Self::Character, Self::Byte];

    pub(crate) fn is_subword(self) -> bool {
        matches!(self, Self::Bpe | Self::ByteBpe | Self::Unigram | Self::Wordpiece)
    }

    /// Whether a character of its own stands for a space.
    pub(crate) fn marks_spaces(self) -> bool {
        matches!(self, Self::Bpe | Self::Unigram | Self::Wordpiece)
    }
}

impl fmt::Display for TokenizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bpe => "bpe",
            Self::ByteBpe => "byte-bpe",
            Self::Unigram => "unigram",
            Self::Wordpiece => "wordpiece",
            Self::Word => "word",
            Self::Character => "character",
            Self::Byte => "byte",
        })
    }
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self {
            kind: TokenizerKind::Bpe,
            vocabulary: 8000,
            minimum_count: 1,
            vocabulary_file: None,
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
        if let Some(path) = self.vocabulary_file.as_ref().filter(|_| self.kind != TokenizerKind::Word) {
            let kind = self.kind;
            return Err(format!("vocabulary_file = {path:?}: expected kind = \"word\" beside it, not \"{kind}\""));
        }
        for token in &self.add {
            if token.trim().is_empty() {
                return Err(format!("add = [{token:?}]: expected more than spaces"));
            }
            if token.starts_with(' ') && self.kind.marks_spaces() {
                return Err(format!(
                    "add = [{token:?}]: expected no space before it. Those in a text are kept as they are"
                ));
            }
            if token.starts_with("##") && self.kind == TokenizerKind::Wordpiece {
                return Err(format!("add = [{token:?}]: expected no ##, which is WordPiece's own mark"));
            }
            if SPECIAL.contains(&token.as_str()) {
                return Err(format!(
                    "add = [{token:?}]: that is a control token of every tokenizer. In a text it is text; leave it out"
                ));
            }
        }
        Ok(())
    }
}
