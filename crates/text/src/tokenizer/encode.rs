//! From texts to ids, and back.

use super::error::{library, wrong};
use super::{Placed, SpecialTokens, Tokenizer};
use crate::{Text, TextError};
use rayon::prelude::*;
use tokenizers::models::ModelWrapper;
use tokenizers::{
    DecoderWrapper, Encoding, Model, NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizer, Token,
};

/// What the names of pieces that stand for bytes begin with.
const BYTE: &str = "<0x";

impl Tokenizer {
    /// The ids of a text, without BOS and EOS, and without control tokens.
    ///
    /// # Errors
    /// Where `tokenizers` fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        library(|| self.ids_of(text, true))
    }

    /// The ids of a text that continues another, without BOS and EOS, and without control tokens: no space is put before its first
    /// word.
    ///
    /// # Errors
    /// Where `tokenizers` fails.
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>, TextError> {
        library(|| self.ids_of(text, false))
    }

    /// The ids of a text, or of what follows a token.
    fn ids_of(&self, text: &str, from_start: bool) -> Result<Vec<u32>, TextError> {
        let ids = match self.steps.is_some() || self.rest.is_some() && !from_start {
            true => self.encoding(text, from_start, OffsetType::None)?.get_ids().to_vec(),
            false => self.inner.encode_fast(text, false).map_err(wrong)?.get_ids().to_vec(),
        };
        if !self.has_names(text, ids.iter().copied()) {
            return Ok(self.known(&ids));
        }
        let ids = self.known(self.encoding(text, from_start, OffsetType::None)?.get_ids());
        let placed = ids.into_iter().map(|id| Placed { id, start: 0, end: 0 }).collect();
        Ok(self.without_controls(placed).into_iter().map(|placed| placed.id).collect())
    }

    /// Whether the model took the name of a special token for that token: it may have one as an entry like any other.
    fn has_names(&self, text: &str, ids: impl Iterator<Item = u32> + Clone) -> bool {
        if ids.clone().any(|id| self.is_control(id)) {
            return true;
        }
        let may_be_bytes = self.special.sentencepiece && text.contains(BYTE);
        let is_unknown = |id| Some(id) == self.special.unknown;
        // Each name is looked for once, however often its token is there.
        let mut named: Vec<u32> = ids.filter(|&id| may_be_bytes || is_unknown(id)).collect();
        named.sort_unstable();
        named.dedup();
        named.into_iter().any(|id| {
            let name = self.inner.id_to_token(id);
            name.is_some_and(|name| (is_unknown(id) || name.starts_with(BYTE)) && text.contains(&name))
        })
    }

    /// `ids` with the unknown token in place of pieces that the model has not, and of characters that no piece has.
    pub(super) fn known(&self, ids: &[u32]) -> Vec<u32> {
        let SpecialTokens { unknown: Some(unknown), entries: Some(entries), pieces_apart: true, .. } = self.special
        else {
            return ids.to_vec();
        };
        let is_character = |id: &u32| *id == unknown || self.unknown_characters.binary_search(id).is_ok();
        let pieces = entries as u32..self.inner.get_vocab_size(false) as u32;
        let mut known = Vec::with_capacity(ids.len());
        for run in ids.chunk_by(|a, b| is_character(a) && is_character(b)) {
            let is_unknown = run.len() > 1 || pieces.contains(&run[0]);
            known.push(if is_unknown { unknown } else { run[0] });
        }
        known
    }

    /// A text, or what follows a token, with the steps of `tokenizers`, but for the names of control tokens.
    fn encoding(&self, text: &str, from_start: bool, offsets: OffsetType) -> Result<Encoding, TextError> {
        let added = self.inner.get_added_vocabulary();
        let mut pieces = match &self.steps {
            Some(steps) => added.extract_and_normalize(Some(steps), text),
            None => added.extract_and_normalize(self.inner.get_normalizer(), text),
        };
        let pre_tokenizer = self.rest.as_ref().filter(|_| !from_start).or(self.inner.get_pre_tokenizer());
        if let Some(pre_tokenizer) = pre_tokenizer {
            pre_tokenizer.pre_tokenize(&mut pieces).map_err(wrong)?;
        }
        pieces.tokenize(|piece| self.tokens(piece.get())).map_err(wrong)?;
        pieces.into_encoding(None, 0, offsets).map_err(wrong)
    }

    /// The tokens of a piece that the model is given. The name of a special token in it is read in two parts.
    fn tokens(&self, piece: &str) -> tokenizers::Result<Vec<Token>> {
        let model = self.inner.get_model();
        let whole = model.tokenize(piece)?;
        if self.is_word_level() || !self.has_names(piece, whole.iter().map(|token| token.id)) {
            return Ok(whole);
        }
        let (mut all, mut start) = (Vec::new(), 0);
        let mut names = self.control_names();
        names.extend(self.special.sentencepiece.then(|| BYTE.to_owned()));
        let is_unknown = |token: Option<&Token>| token.is_some_and(|token| Some(token.id) == self.special.unknown);
        for part in cut_names(piece, &names) {
            let shifted = |token: Token| {
                let (from, to) = token.offsets;
                Token { offsets: (from + start, to + start), ..token }
            };
            let tokens: Vec<Token> = model.tokenize(part)?.into_iter().map(shifted).collect();
            // Unknown characters are one token together.
            let goes_on =
                matches!(model, ModelWrapper::Unigram(_)) && is_unknown(all.last()) && is_unknown(tokens.first());
            all.extend(tokens.into_iter().skip(usize::from(goes_on)));
            start += part.len();
        }
        Ok(all)
    }

    /// The tokens of a text with their places, without control tokens; of one that goes on, what follows a token.
    ///
    /// # Errors
    /// Where `tokenizers` fails.
    pub(crate) fn encode_placed(&self, text: &str, from_start: bool) -> Result<Vec<Placed>, TextError> {
        library(|| {
            let encoding = self.encoding(text, from_start, OffsetType::Byte)?;
            let each = encoding.get_ids().iter().zip(encoding.get_offsets());
            let placed = each.map(|(&id, &(start, end))| Placed { id, start, end });
            Ok(self.without_controls(placed.collect()))
        })
    }

    /// What is still taken for a control token, such as a whole word, is unknown.
    fn without_controls(&self, mut all: Vec<Placed>) -> Vec<Placed> {
        match self.special.unknown {
            Some(unknown) => {
                all.iter_mut().filter(|placed| self.is_control(placed.id)).for_each(|placed| placed.id = unknown)
            }
            None => all.retain(|placed| !self.is_control(placed.id)),
        }
        all
    }

    fn is_control(&self, id: u32) -> bool {
        self.controls.binary_search(&id).is_ok()
    }

    fn is_word_level(&self) -> bool {
        matches!(self.inner.get_model(), ModelWrapper::WordLevel(_))
    }

    /// The ids of many texts, on all cores.
    ///
    /// # Errors
    /// Where `tokenizers` fails.
    pub fn encode_all(&self, texts: &[Text]) -> Result<Vec<Vec<u32>>, TextError> {
        texts.par_iter().map(|text| self.encode_text(text)).collect()
    }

    /// The ids of a text, with control tokens where a chat template wrote them, after those of its attributes.
    ///
    /// # Errors
    /// Where `tokenizers` fails; an attribute that has no token.
    pub fn encode_text(&self, text: &Text) -> Result<Vec<u32>, TextError> {
        let ids = library(|| self.encode_pieces(text))?;
        let attribute = |name: &String| {
            let missing = || TextError::Tokenizer(format!("the tokenizer has no control token {name}"));
            self.id(name).filter(|&id| self.is_special(id)).ok_or_else(missing)
        };
        let mut all = text.attributes().iter().map(attribute).collect::<Result<Vec<_>, _>>()?;
        all.extend(ids);
        Ok(all)
    }

    fn encode_pieces(&self, text: &Text) -> Result<Vec<u32>, TextError> {
        let Some(escaped) = text.escaped() else { return self.ids_of(&text.to_string(), true) };
        let pieces = self.marks.extract_and_normalize(None::<&NormalizerWrapper>, escaped);
        let mut ids = Vec::new();
        for (piece, (start, _), tokens) in pieces.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            match tokens {
                Some(tokens) => ids.extend(tokens.iter().map(|token| token.id)),
                None => ids.extend(self.ids_of(&text.read(piece), start == 0)?),
            }
        }
        Ok(ids)
    }

    /// The parts of a text that the vocabulary does not have, in their order.
    ///
    /// # Errors
    /// Where `tokenizers` fails.
    pub fn unknown_parts<'a>(&self, text: &'a str) -> Result<Vec<&'a str>, TextError> {
        let encoding = self.encoding(text, true, OffsetType::Byte)?;
        let parts = encoding.get_ids().iter().zip(encoding.get_offsets());
        let unknown = parts.filter(|&(&id, _)| self.known(&[id]).first().copied() == self.special.unknown);
        Ok(unknown.filter_map(|(_, &(start, end))| text.get(start..end)).collect())
    }

    /// The text of ids; control tokens are left out.
    ///
    /// # Errors
    /// Where `tokenizers` fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        let decode = |ids: &[u32]| library(|| self.inner.decode(ids, true).map_err(wrong));
        if !matches!(self.inner.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) {
            return Ok(self.named(decode(ids)?));
        }
        // Entries are bytes, written as characters; added tokens are characters.
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        let mut text = String::new();
        for run in ids.chunk_by(|a, b| !added.contains_key(a) && !added.contains_key(b)) {
            match run.first().and_then(|id| added.get(id)) {
                Some(token) if token.special => {}
                Some(token) => text += &token.content,
                None => text += &decode(run)?,
            }
        }
        Ok(text)
    }
}

/// A text, cut after the first character of each of these names.
fn cut_names<'a>(text: &'a str, names: &[String]) -> Vec<&'a str> {
    let (mut pieces, mut start) = (Vec::new(), 0);
    for (at, character) in text.char_indices() {
        let end = at + character.len_utf8();
        if end < text.len() && names.iter().any(|name| text[at..].starts_with(name.as_str())) {
            pieces.push(&text[start..end]);
            start = end;
        }
    }
    pieces.push(&text[start..]);
    pieces
}
