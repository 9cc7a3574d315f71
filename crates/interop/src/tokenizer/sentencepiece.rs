//! Models of SentencePiece (`.spm`, `.model`): the parts of their protocol buffer that say how a text is cut.

mod json;
mod write;

pub(crate) use json::llama;
pub(super) use json::{Scored, file, metaspace, pairs, replace, string, unigram, written_back};
pub(super) use write::file as to_file;

use crate::Error;
use crate::folder::read_if;
use std::collections::HashSet;
use std::path::Path;

/// The most bytes of a piece.
const LONGEST_PIECE: usize = 512;

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Unknown,
    /// Such as BOS: no text has it.
    Control,
    /// Found in a text wherever it stands, and never merged.
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    /// Whether texts have such pieces.
    pub(crate) fn is_found(self) -> bool {
        matches!(self, Self::Normal | Self::UserDefined | Self::Byte)
    }
}

/// A piece.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) score: f32,
    pub(crate) kind: Kind,
}

/// A model.
#[derive(Debug)]
pub(crate) struct SentencePiece {
    pub(crate) pieces: Vec<Piece>,
    /// Whether it cuts by a unigram language model, and not by merges.
    pub(crate) unigram: bool,
    pub(crate) byte_fallback: bool,
    /// Replacements of characters, compiled.
    charsmap: Vec<u8>,
    add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
}

/// Fields of a message of a protocol buffer.
struct Fields<'a>(&'a [u8]);

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Real(f32),
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(first)
    }

    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => self.take(8).map(Field::Bytes)?,
            2 => {
                let len = self.varint()?;
                Field::Bytes(self.take(len)?)
            }
            5 => Field::Real(f32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((key >> 3, field))
    }
}

/// Fields one after the other; the last is `None` where the bytes are damaged.
impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl SentencePiece {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it is none, or cuts words in another way than by pieces.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let bytes = read_if(path)?.ok_or_else(|| Error::io("read", path, std::io::ErrorKind::NotFound.into()))?;
        Self::parse(&bytes).map_err(|reason| Error::folder(path, reason))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let damaged = || "it is no model of SentencePiece, or damaged".to_owned();
        let mut model = Self {
            pieces: Vec::new(),
            unigram: true,
            byte_fallback: false,
            charsmap: Vec::new(),
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
        };
        for field in Fields(bytes) {
            match field.ok_or_else(damaged)? {
                (1, Field::Bytes(piece)) => model.pieces.push(Piece::parse(piece).ok_or_else(damaged)??),
                (2, Field::Bytes(trainer)) => {
                    for field in Fields(trainer) {
                        match field.ok_or_else(damaged)? {
                            (3, Field::Number(1)) => model.unigram = true,
                            (3, Field::Number(2)) => model.unigram = false,
                            (3, Field::Number(_)) => {
                                return Err(
                                    "it cuts a text into words or characters, expected the model type unigram or bpe"
                                        .to_owned(),
                                );
                            }
                            (24, Field::Number(1)) => {
                                return Err("it has treat_whitespace_as_suffix, which is not known".to_owned());
                            }
                            (35, Field::Number(on)) => model.byte_fallback = on != 0,
                            _ => {}
                        }
                    }
                }
                (3, Field::Bytes(normalizer)) => {
                    for field in Fields(normalizer) {
                        match field.ok_or_else(damaged)? {
                            (2, Field::Bytes(map)) => model.charsmap = map.to_vec(),
                            (3, Field::Number(on)) => model.add_dummy_prefix = on != 0,
                            (4, Field::Number(on)) => model.remove_extra_whitespaces = on != 0,
                            (5, Field::Number(0)) => {
                                return Err("it has escape_whitespaces off, which is not known".to_owned());
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        if model.pieces.is_empty() {
            return Err(damaged());
        }
        // SentencePiece refuses such a file, too.
        let mut texts = HashSet::new();
        match model.pieces.iter().find(|piece| !texts.insert(&piece.text)) {
            Some(Piece { text, .. }) => Err(format!("the piece {text:?} is there twice")),
            None => Ok(model),
        }
    }
}

impl Piece {
    /// `None` where it is damaged.
    fn parse(bytes: &[u8]) -> Option<Result<Self, String>> {
        let mut piece = Self { text: String::new(), score: 0.0, kind: Kind::Normal };
        for field in Fields(bytes) {
            match field? {
                (1, Field::Bytes(text)) => piece.text = std::str::from_utf8(text).ok()?.to_owned(),
                (2, Field::Real(score)) => piece.score = score,
                (3, Field::Number(kind)) => {
                    piece.kind = match kind {
                        1 => Kind::Normal,
                        2 => Kind::Unknown,
                        3 => Kind::Control,
                        4 => Kind::UserDefined,
                        6 => Kind::Byte,
                        _ => Kind::Unused,
                    }
                }
                _ => {}
            }
        }
        let Self { text, score, .. } = &piece;
        if text.is_empty() || text.len() > LONGEST_PIECE {
            return Some(Err(format!("a piece has {} bytes, expected 1 to {LONGEST_PIECE}", text.len())));
        }
        if !(-1e12..=1e12).contains(score) {
            return Some(Err(format!("the piece {text:?} has the score {score}")));
        }
        Some(Ok(piece))
    }
}
