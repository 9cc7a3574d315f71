//! Models of SentencePiece (`.spm`, `.model`): the parts of their protocol buffer that say how a text is cut.

use crate::Error;
use crate::folder::read_if;
use descant_text::UNKNOWN_LETTERS;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

/// The most bytes of a piece.
const LONGEST_PIECE: usize = 512;
/// The most merges that are derived from pieces.
const MOST_MERGES: usize = 1 << 22;

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    /// Found in a text wherever it stands.
    UserDefined,
    Byte,
    /// The unknown piece, control tokens and what is not used: no text has them.
    None,
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
    byte_fallback: bool,
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
        match model.pieces.is_empty() {
            true => Err(damaged()),
            false => Ok(model),
        }
    }

    /// What is done to a text before it is cut.
    fn normalizer(&self) -> Value {
        let replace = |pattern: Value, by: &str| json!({"type": "Replace", "pattern": pattern, "content": by});
        let mut steps = Vec::new();
        if !self.charsmap.is_empty() {
            steps.push(json!({"type": "Precompiled", "precompiled_charsmap": base64::encode(&self.charsmap)}));
        }
        if self.remove_extra_whitespaces {
            steps.push(json!({"type": "Strip", "strip_left": true, "strip_right": true}));
            steps.push(replace(json!({"Regex": " {2,}"}), " "));
        }
        json!({"type": "Sequence", "normalizers": steps})
    }

    /// The `tokenizer.json` of this cut with the entries `vocabulary`, each with its score or, where only its text is known,
    /// none; `added` are found in a text before it is cut.
    pub(crate) fn json(
        &self,
        vocabulary: &[(String, Option<f32>)],
        unknown: u32,
        added: Vec<Value>,
    ) -> Result<Value, String> {
        let scheme = if self.add_dummy_prefix { "always" } else { "never" };
        let spaces = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false});
        let model = if self.unigram {
            let entry = |(text, score): &(String, Option<f32>)| json!([text, score.map_or(UNKNOWN_LETTERS, f64::from)]);
            json!({
                "type": "Unigram", "unk_id": unknown, "vocab": vocabulary.iter().map(entry).collect::<Vec<_>>(),
                "byte_fallback": self.byte_fallback,
            })
        } else {
            let ids: serde_json::Map<String, Value> =
                vocabulary.iter().zip(0_u32..).map(|((text, _), id)| (text.clone(), id.into())).collect();
            json!({
                "type": "BPE", "dropout": null, "unk_token": vocabulary.get(unknown as usize).map(|(text, _)| text),
                "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
                "byte_fallback": self.byte_fallback, "vocab": ids, "merges": merges(vocabulary)?,
            })
        };
        Ok(json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": self.normalizer(),
            "pre_tokenizer": spaces, "post_processor": null, "decoder": self.decoder(&spaces), "model": model,
        }))
    }

    fn decoder(&self, spaces: &Value) -> Value {
        match self.byte_fallback {
            true => json!({"type": "Sequence", "decoders": [{"type": "ByteFallback"}, spaces]}),
            false => spaces.clone(),
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
                        4 => Kind::UserDefined,
                        6 => Kind::Byte,
                        _ => Kind::None,
                    }
                }
                _ => {}
            }
        }
        let Self { text, score, .. } = &piece;
        if text.is_empty() || text.len() > LONGEST_PIECE {
            return Some(Err(format!("a piece has {} bytes, expected 1 to {LONGEST_PIECE}", text.len())));
        }
        if !(-1e4..=1e4).contains(score) && piece.kind == Kind::Normal {
            return Some(Err(format!("the piece {text:?} has the score {score}")));
        }
        Some(Ok(piece))
    }
}

/// The `tokenizer.json` of the "llama" tokenizers of llama.cpp: merges of characters, and bytes where those are lacking.
///
/// # Errors
/// As [`merges`].
pub(crate) fn llama(
    vocabulary: &[(String, Option<f32>)],
    unknown: Option<&str>,
    prefix: bool,
    added: Vec<Value>,
) -> Result<Value, String> {
    let replace = |pattern: &str, by: &str| json!({"type": "Replace", "pattern": {"String": pattern}, "content": by});
    let prepend = prefix.then(|| json!({"type": "Prepend", "prepend": "▁"}));
    let normalizers: Vec<Value> = prepend.into_iter().chain([replace(" ", "▁")]).collect();
    let strip = prefix.then(|| json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    let decoders = [replace("▁", " "), json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    let decoders: Vec<Value> = decoders.into_iter().chain(strip).collect();
    let ids: serde_json::Map<String, Value> =
        vocabulary.iter().zip(0_u32..).map(|((text, _), id)| (text.clone(), id.into())).collect();
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": normalizers}, "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "vocab": ids,
            "merges": merges(vocabulary)?,
        },
    }))
}

/// Merges that make the pieces of their two parts, those of the highest score first: what a SentencePiece model of type
/// `bpe` does, and the "llama" tokenizers of llama.cpp.
///
/// # Errors
/// Where they are too many.
pub(crate) fn merges(vocabulary: &[(String, Option<f32>)]) -> Result<Vec<[&str; 2]>, String> {
    let ids: HashMap<&str, usize> = vocabulary.iter().zip(0..).map(|((text, _), id)| (text.as_str(), id)).collect();
    let mut all = Vec::new();
    for (text, score) in vocabulary {
        let Some(score) = *score else { continue };
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if let (Some(&a), Some(&b)) = (ids.get(left), ids.get(right)) {
                all.push((score, a, b, [left, right]));
            }
        }
        if all.len() > MOST_MERGES {
            return Err(format!("its pieces are made of each other in more than {MOST_MERGES} ways"));
        }
    }
    all.sort_by(|x, y| y.0.total_cmp(&x.0).then((x.1, x.2).cmp(&(y.1, y.2))));
    Ok(all.into_iter().map(|(.., pair)| pair).collect())
}
