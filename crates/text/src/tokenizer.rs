mod config;
mod continuation;
mod encode;
mod error;
mod replacements;
mod special_tokens;
#[cfg(test)]
mod tests;
mod token_bytes;

pub(crate) use config::SPECIAL;
pub use config::{TokenizerConfig, TokenizerKind};
pub use special_tokens::{BOS, EOS, NO_PIECE, PostProcessor, SpecialTokens, UNK, UNKNOWN_CHARACTERS};
pub use token_bytes::TokenBytes;

use crate::TextError;
use crate::catch_panic::caught;
use crate::sandbox::{self, Request, Sandbox};
use crate::tokenizer_file::{self, Added, Ids};
use crate::tokenizer_training::spaces::{ESCAPE, is_escaped};
use crate::tokenizer_training::train;
use continuation::continuation;
use error::{library, short, wrong};
use replacements::Steps;
use std::path::Path;
use tokenizers::models::ModelWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{AddedToken, AddedVocabulary, Encoding, PostProcessor as _, Tokenizer as Inner};

/// What a tokenizer that is read has to bear.
const TRIAL: [&str; 3] = ["a", "A line, 12 Zeichen: ﬁ ﾊ", "我们 ñandú\n"];

/// Bytes of the long texts that an imported tokenizer has to encode: as many as a line may have.
const LONG_TRIAL: usize = 1 << 16;

/// A token, and the bytes of the text that became it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) id: u32,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Turns text into ids and back: a tokenizer of the Hugging Face `tokenizers` library, in its file format.
///
/// Control tokens (BOS, EOS, the special tokens of a chat template and of the file) never come from a text: their
/// names in it are text. Only what a chat template wrote, a [`crate::Text`] of [`crate::ChatTemplate`], has them.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: Inner,
    special: SpecialTokens,
    /// The ids that no text may give, in order.
    controls: Vec<u32>,
    /// Entries of characters that no piece has, in order.
    unknown_characters: Vec<u32>,
    /// Finds control tokens, in what a template wrote.
    marks: AddedVocabulary,
    /// Its normalizer, where characters are replaced as SentencePiece itself does it.
    steps: Option<Steps>,
    /// How the rest of a text is tokenized after a token, where its first piece differs.
    rest: Option<PreTokenizerWrapper>,
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
    /// The name of a control token; where `tokenizers` fails.
    pub fn with_tokens(self, tokens: &[String]) -> Result<Self, TextError> {
        let taken =
            |token: &&String| self.id(token).is_some_and(|id| self.is_special(id) || self.controls.contains(&id));
        if let Some(token) = tokens.iter().find(taken) {
            let reason = format!("add: {token:?} is one of its control tokens already, which never come from a text");
            return Err(TextError::Tokenizer(reason));
        }
        self.added(tokens, false)
    }

    /// With these special tokens of a chat template as control tokens, after its own where they are new.
    ///
    /// # Errors
    /// Where `tokenizers` fails.
    pub fn with_marks(self, marks: &[String]) -> Result<Self, TextError> {
        self.added(marks, true)
    }

    fn added(mut self, tokens: &[String], special: bool) -> Result<Self, TextError> {
        if tokens.is_empty() {
            return Ok(self);
        }
        let normalized = !special && is_escaped(&self.inner);
        let token = |token: &String| AddedToken::from(token.as_str(), special).normalized(normalized);
        self.inner.add_tokens(tokens.iter().map(token).collect::<Vec<_>>()).map_err(wrong)?;
        Self::of(self.inner, self.special)
    }

    /// Reads a `tokenizer.json`: one that was trained here, or one that was made elsewhere, with these special ids.
    ///
    /// # Errors
    /// Where the file cannot be read, or is no tokenizer with these special tokens.
    pub fn load(path: &Path, special: Option<SpecialTokens>) -> Result<Self, TextError> {
        let damaged = |reason: String| TextError::Tokenizer(format!("{} cannot be read: {reason}", path.display()));
        Self::parse(&tokenizer_file::read(path)?, special).map_err(damaged)
    }

    /// The same of what such a file holds.
    ///
    /// # Errors
    /// Where it is no tokenizer with these special tokens.
    pub fn from_json(bytes: &[u8], special: Option<SpecialTokens>) -> Result<Self, TextError> {
        Self::parse(bytes, special).map_err(TextError::Tokenizer)
    }

    fn parse(bytes: &[u8], special: Option<SpecialTokens>) -> Result<Self, String> {
        // `tokenizers` panics on some damaged files, when it reads them or at the first text.
        let read = || {
            let ids = tokenizer_file::check(bytes)?;
            let text = |error: TextError| error.to_string();
            let inner = tokenizer_file::tokenizer(bytes)?;
            let tokenizer = Self::new(inner, special).map_err(text)?;
            tokenizer.check_ids(&ids)?;
            TRIAL
                .iter()
                .try_for_each(|line| tokenizer.encode(line).and_then(|ids| tokenizer.decode(&ids)).map(drop))
                .map_err(text)?;
            Ok(tokenizer)
        };
        let read = caught(read).unwrap_or_else(|panic| Err(format!("its parts do not fit together: {panic}")));
        read.map_err(short)
    }

    /// Whether a decoded text ends with a whole character, whatever comes next: neither with bytes that may be the first ones
    /// of one nor with half of what stands for one.
    pub fn ends_whole(text: &str) -> bool {
        !text.ends_with([char::REPLACEMENT_CHARACTER, ESCAPE])
    }

    /// Reads a `tokenizer.json` from elsewhere as [`Tokenizer::load`] does, and holds it to long texts, in the sandbox: what
    /// `tokenizers` needs more memory or time for than the sandbox has is an error. Without a sandbox, nothing is tried.
    ///
    /// # Errors
    /// As [`Tokenizer::load`]; where a text cannot be encoded, or its ids not decoded.
    pub fn try_apart(path: &Path, special: Option<SpecialTokens>) -> Result<(), TextError> {
        if sandbox::program().is_none() {
            return Ok(());
        }
        // Under its own name, also where that is a link.
        let path = std::path::absolute(path).map_err(|error| TextError::io("read", path, error))?;
        let request = Request::Tokenizer { path: path.clone(), special };
        // A reason names the file where the tokenizer was not the end of what tried it.
        let name = path.display().to_string();
        let named = |reason: String| {
            let reason = reason.strip_prefix("tokenizer: ").unwrap_or(&reason);
            if reason.contains(&name) { reason.to_owned() } else { format!("{name}: {reason}") }
        };
        Sandbox::new(request).map(drop).map_err(|reason| TextError::Tokenizer(named(reason)))
    }

    /// The same in the sandbox's own process.
    pub(crate) fn try_here(path: &Path, special: Option<SpecialTokens>) -> Result<(), TextError> {
        let tokenizer = Self::load(path, special)?;
        for text in
            TRIAL.into_iter().chain(["a", " ", "7", "The quick brown fox, 12 km. ", "我们", ".-", "e\u{301}", "ﷺ"])
        {
            let long = text.repeat(LONG_TRIAL / text.len());
            tokenizer.decode(&tokenizer.encode(&long)?)?;
        }
        Ok(())
    }

    /// That every id is one of the tables' rows, and that added tokens have the ids that the file says.
    fn check_ids(&self, ids: &Ids) -> Result<(), String> {
        let rows = self.special.entries.unwrap_or_else(|| self.vocabulary());
        let (highest, token) = &ids.highest;
        if *highest as usize >= rows && !self.special.pieces_apart {
            return Err(format!(
                "{token:?} has the id {highest}, which is outside the {rows} entries of the model's tables"
            ));
        }
        let wrong = |added: &&Added| self.inner.token_to_id(&added.content) != Some(added.id);
        match ids.added.iter().find(wrong) {
            Some(Added { id, content }) => Err(format!(
                "the added token {content:?} cannot have the id {id}: added tokens come after all others, without a gap"
            )),
            None => Ok(()),
        }
    }

    fn new(mut inner: Inner, special: Option<SpecialTokens>) -> Result<Self, TextError> {
        // What a file was used with before is no part of what its texts mean.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(wrong)?;
        if let Some(special) = special {
            let entries = special.entries.unwrap_or(0).max(inner.get_vocab_size(true));
            let outside = special.ids().find(|&id| id as usize >= entries);
            return match outside {
                Some(id) => Err(TextError::Tokenizer(format!("special id {id} is outside its {entries} entries"))),
                None => Self::of(inner, special),
            };
        }
        match (0..).zip(SPECIAL).find(|(id, token)| inner.token_to_id(token) != Some(*id)) {
            Some((id, token)) => Err(TextError::Tokenizer(format!("its entry {id} is not {token}"))),
            None => Self::of(inner, SpecialTokens::default()),
        }
    }

    fn of(mut inner: Inner, special: SpecialTokens) -> Result<Self, TextError> {
        // Of one continuous text, BOS is a line end, which is text.
        let added = inner.get_added_tokens_decoder();
        let missed = special.ids().filter_map(|id| added.get(&id)).filter(|token| !token.special);
        let missed: Vec<AddedToken> = missed.map(|token| token.clone().special(true)).collect();
        inner.add_tokens(missed).map_err(wrong)?;
        // Their names in a text are text.
        inner.set_encode_special_tokens(true);
        let mut marks = inner.get_added_vocabulary().clone();
        marks.set_encode_special_tokens(false);
        let specials = inner.get_added_tokens_decoder().into_iter().filter(|(_, token)| token.special);
        let mut controls: Vec<u32> = specials.map(|(id, _)| id).filter(|&id| Some(id) != special.unknown).collect();
        controls.sort_unstable();
        let rest = continuation(&inner)?;
        let steps = if special.sentencepiece { Steps::of(inner.get_normalizer())? } else { None };
        let unknown_characters = match inner.get_model() {
            ModelWrapper::Unigram(model) if special.pieces_apart => (0..)
                .zip(model.iter())
                .filter(|(_, (_, score))| *score == UNKNOWN_CHARACTERS)
                .map(|(id, _)| id)
                .collect(),
            _ => Vec::new(),
        };
        Ok(Self { inner, special, controls, unknown_characters, marks, steps, rest })
    }

    /// The same with other special ids.
    ///
    /// # Errors
    /// An id that is outside the entries.
    pub fn with_special(self, special: SpecialTokens) -> Result<Self, TextError> {
        Self::new(self.inner, Some(special))
    }

    /// The id that its model gives to what the vocabulary does not have, where there is one.
    pub fn unknown(&self) -> Option<u32> {
        let token = match self.inner.get_model() {
            ModelWrapper::BPE(model) => model.unk_token.clone(),
            ModelWrapper::WordPiece(model) => Some(model.unk_token.clone()),
            ModelWrapper::WordLevel(model) => Some(model.unk_token.clone()),
            ModelWrapper::Unigram(model) => {
                let id = serde_json::to_value(model).ok()?.get("unk_id")?.as_u64();
                return id.and_then(|id| u32::try_from(id).ok());
            }
        };
        self.id(&token?)
    }

    /// What its post-processor puts around a text.
    ///
    /// # Errors
    /// Where that is something else than tokens before and after it.
    pub fn post_processor(&self) -> Result<PostProcessor, TextError> {
        let Some(post_processor) = self.inner.get_post_processor() else { return Ok(PostProcessor::default()) };
        // No tokenizer has this id.
        let text = u32::MAX;
        let token = tokenizers::Token::new(text, String::new(), (0, 0));
        let encoding = Encoding::from_tokens(vec![token], 0);
        let whole = library(|| post_processor.process(encoding, None, true).map_err(wrong))?;
        match whole.get_ids().split(|&id| id == text).collect::<Vec<_>>()[..] {
            [before, after] => Ok(PostProcessor { prefix: before.to_vec(), suffix: after.to_vec() }),
            _ => Err(TextError::Tokenizer("post_processor: expected a text once, with tokens around it".to_owned())),
        }
    }

    /// Which ids are special.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// The names of its control tokens, and that of what it does not know.
    pub fn control_names(&self) -> Vec<String> {
        let tokens = self.inner.get_added_tokens_decoder();
        tokens.values().filter(|token| token.special).map(|token| token.content.clone()).collect()
    }

    /// The tokenizer in the format of `tokenizer.json`.
    ///
    /// # Errors
    /// Where `tokenizers` fails.
    pub fn to_json(&self) -> Result<String, TextError> {
        self.inner.to_string(false).map_err(wrong)
    }

    /// How many entries a model's tables have.
    pub fn vocabulary(&self) -> usize {
        let (all, entries) = (self.inner.get_vocab_size(true), self.special.entries.unwrap_or(0));
        match self.special.pieces_apart && all == self.inner.get_vocab_size(false) {
            true => entries,
            false => all.max(entries),
        }
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id, as it stands in the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id).map(|token| self.named(token))
    }

    /// A token or text without the mark of what is no piece.
    fn named(&self, text: String) -> String {
        if self.special.pieces_apart { text.replace(NO_PIECE, "") } else { text }
    }

    /// Whether a token decodes to no text, as most BOS and EOS do.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.get_added_vocabulary().get_added_tokens_decoder().get(&id).is_some_and(|token| token.special)
    }

    /// Whether a token is none of the vocabulary that was trained, but found by its name.
    pub fn is_added(&self, id: u32) -> bool {
        self.inner.get_added_vocabulary().get_added_tokens_decoder().contains_key(&id)
    }
}
