//! The bytes that each token writes, where decoding is the joining of such bytes.

use super::error::wrong;
use super::{NO_PIECE, Tokenizer};
use crate::TextError;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use tokenizers::DecoderWrapper;

/// The bytes that each token of a vocabulary writes: a text is decoded by joining them, but that a token at its start may write less,
/// such as no space before a first word. A token without bytes of its own has none here: control tokens, the unknown one, and what
/// means something only together with its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBytes {
    /// By id, after other tokens.
    later: Vec<Option<Vec<u8>>>,
    /// By id, at the start of a text; empty where that is the same.
    first: Vec<Option<Vec<u8>>>,
}

impl TokenBytes {
    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.later.len()
    }

    /// Whether there is no id.
    pub fn is_empty(&self) -> bool {
        self.later.is_empty()
    }

    /// What a token writes, at the start of a text or after other tokens.
    pub fn get(&self, id: u32, at_start: bool) -> Option<&[u8]> {
        let of = if at_start && !self.first.is_empty() { &self.first } else { &self.later };
        of.get(id as usize)?.as_deref()
    }

    /// Whether a token has the white space before a word.
    pub(crate) fn has_space(&self, id: u32) -> bool {
        self.get(id, false).unwrap_or_default().first().is_some_and(u8::is_ascii_whitespace)
    }

    /// Whether some token writes something else at the start of a text.
    pub fn start_differs(&self) -> bool {
        !self.first.is_empty()
    }

    /// The characters that tokens are made of; none where every text can be written, byte by byte.
    pub fn characters(&self) -> Option<BTreeSet<char>> {
        let all = || self.later.iter().chain(&self.first).flatten();
        let alone: BTreeSet<u8> =
            all().filter_map(|bytes| if let [byte] = bytes[..] { Some(byte) } else { None }).collect();
        // The others are in no text of UTF-8.
        let is_written = |byte: u8| matches!(byte, 0xC0 | 0xC1 | 0xF5..) || alone.contains(&byte);
        if (0..=u8::MAX).all(is_written) {
            return None;
        }
        Some(all().flat_map(|bytes| bytes.utf8_chunks()).flat_map(|chunk| chunk.valid().chars()).collect())
    }
}

/// A step of a decoder.
enum Step {
    Replace { from: String, to: String },
    DropPrefix(String),
    Metaspace { mark: char, drops_first: bool },
    ByteFallback,
    Fuse,
    StripFirst(char),
}

impl Tokenizer {
    /// The bytes that each token writes.
    ///
    /// # Errors
    /// For a decoder that does more than join the texts of tokens, by its name.
    pub fn token_bytes(&self) -> Result<TokenBytes, TextError> {
        let ids = 0..u32::try_from(self.vocabulary()).map_err(wrong)?;
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        let is_silent = |id: u32| {
            let is_special = added.get(&id).is_some_and(|token| token.special);
            is_special || Some(id) == self.special.unknown || self.unknown_characters.binary_search(&id).is_ok()
        };
        let text = |id: u32| self.inner.id_to_token(id).filter(|_| !is_silent(id));
        match self.inner.get_decoder() {
            Some(DecoderWrapper::ByteLevel(_)) => {
                let bytes = bytes_of_characters();
                let written = |id: u32| {
                    let text = text(id)?;
                    let mapped = || text.chars().map(|character| bytes.get(&character).copied()).collect();
                    let bytes: Option<Vec<u8>> = if added.contains_key(&id) { None } else { mapped() };
                    Some(bytes.unwrap_or_else(|| text.clone().into_bytes()))
                };
                Ok(TokenBytes { later: ids.map(written).collect(), first: Vec::new() })
            }
            // The library puts a space between tokens.
            None => Ok(TokenBytes {
                later: ids.clone().map(|id| text(id).map(|text| format!(" {text}").into_bytes())).collect(),
                first: ids.map(|id| text(id).map(String::into_bytes)).collect(),
            }),
            Some(decoder) => {
                let mut steps = steps(&serde_json::to_value(decoder).map_err(wrong)?)?;
                if self.special.pieces_apart {
                    steps.push(Step::Replace { from: NO_PIECE.into(), to: String::new() });
                }
                let all = |at_start: bool| {
                    ids.clone().map(|id| text(id).and_then(|text| written(&steps, text, at_start))).collect::<Vec<_>>()
                };
                let (later, first) = (all(false), all(true));
                let first = if first == later { Vec::new() } else { first };
                Ok(TokenBytes { later, first })
            }
        }
    }
}

/// The byte that each character stands for in a byte-level vocabulary: printable ones for themselves, and the others from 256 on.
fn bytes_of_characters() -> HashMap<char, u8> {
    let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..);
    let others = (0..=u8::MAX)
        .filter(|byte| !is_printable(byte))
        .zip(256..)
        .filter_map(|(byte, character)| Some((char::from_u32(character)?, byte)));
    (0..=u8::MAX).filter(is_printable).map(|byte| (char::from(byte), byte)).chain(others).collect()
}

/// The steps of a decoder that joins the texts of tokens.
fn steps(decoder: &Value) -> Result<Vec<Step>, TextError> {
    let kind = decoder["type"].as_str().unwrap_or_default();
    let refuse = |what: &str| {
        TextError::Tokenizer(format!(
            "the decoder {kind} {what}: what it writes is not the joined text of its tokens, so a constraint cannot follow it"
        ))
    };
    let character = |key: &str| decoder[key].as_str().and_then(|text| text.chars().next());
    match kind {
        "Sequence" => {
            let parts = decoder["decoders"].as_array().map(Vec::as_slice).unwrap_or_default();
            let steps = parts.iter().map(steps).collect::<Result<Vec<_>, _>>()?;
            Ok(steps.into_iter().flatten().collect())
        }
        "Replace" => {
            let to = decoder["content"].as_str().unwrap_or_default().to_owned();
            let (text, regex) = (decoder["pattern"]["String"].as_str(), decoder["pattern"]["Regex"].as_str());
            match (text, regex.and_then(|regex| regex.strip_prefix('^'))) {
                (Some(from), _) => Ok(vec![Step::Replace { from: from.to_owned(), to }]),
                (_, Some(prefix)) if to.is_empty() && prefix.chars().all(|c| c.is_alphanumeric() || c == '#') => {
                    Ok(vec![Step::DropPrefix(prefix.to_owned())])
                }
                _ => Err(refuse("with a regular expression")),
            }
        }
        "Metaspace" => {
            let mark = character("replacement").ok_or_else(|| refuse("without a replacement"))?;
            Ok(vec![Step::Metaspace { mark, drops_first: decoder["prepend_scheme"] != "never" }])
        }
        "ByteFallback" => Ok(vec![Step::ByteFallback]),
        "Fuse" => Ok(vec![Step::Fuse]),
        "Strip" => match (decoder["start"].as_u64(), decoder["stop"].as_u64(), character("content")) {
            (Some(0), Some(0), _) => Ok(Vec::new()),
            (Some(1), Some(0), Some(content)) => Ok(vec![Step::StripFirst(content)]),
            _ => Err(refuse("of several characters")),
        },
        _ => Err(refuse("is not known")),
    }
}

/// What a token writes; none where that depends on its neighbours.
fn written(steps: &[Step], token: String, at_start: bool) -> Option<Vec<u8>> {
    let (mut text, mut byte, mut is_fused) = (token, None, false);
    for step in steps {
        // A byte is the same to all steps but one.
        if let (Some(b' '), Step::StripFirst(' '), true) = (byte, step, at_start) {
            return Some(Vec::new());
        }
        match step {
            _ if byte.is_some() => {}
            Step::Replace { from, to } => {
                let may_go_on = from.char_indices().skip(1).any(|(at, _)| text.ends_with(&from[..at]));
                if is_fused && may_go_on {
                    return None;
                }
                text = text.replace(from.as_str(), to);
            }
            Step::DropPrefix(prefix) => text = text.strip_prefix(prefix.as_str()).unwrap_or(&text).to_owned(),
            Step::Metaspace { mark, drops_first } => {
                text = text.replace(*mark, if *drops_first && at_start { "" } else { " " });
            }
            Step::ByteFallback => {
                let hex = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                byte = hex.filter(|hex| hex.len() == 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            }
            Step::Fuse => is_fused = true,
            // On the text as a whole, or else on each token.
            Step::StripFirst(content) if at_start || !is_fused => {
                text = text.strip_prefix(*content).unwrap_or(&text).to_owned();
            }
            Step::StripFirst(_) => {}
        }
    }
    Some(byte.map_or_else(|| text.into_bytes(), |byte| vec![byte]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TokenizerConfig, TokenizerKind};

    const TEXTS: [&str; 4] =
        ["  the quick brown fox, 12 ▁ km. ", "größe\u{E000} the ▁▁ a", "我们 the fox", "{\"a\": [1, 2]}"];

    #[test]
    fn a_text_is_the_joined_bytes_of_its_tokens() {
        for kind in TokenizerKind::ALL {
            for continuous in [false, true] {
                let vocabulary = if kind == TokenizerKind::ByteBpe { 280 } else { 90 };
                let config = TokenizerConfig { kind, vocabulary, add: vec!["<b>".to_owned()], ..Default::default() };
                let texts = TEXTS.iter().cycle().take(40).map(|text| Ok((*text).to_owned()));
                let tokenizer = Tokenizer::train(&config, continuous, texts).unwrap();
                let bytes = tokenizer.token_bytes().unwrap();
                let known: Vec<u32> = (0..bytes.len() as u32).filter(|&id| bytes.get(id, false).is_some()).collect();
                // Of words there are few.
                assert!(known.len() > 10, "{kind}: {}", known.len());
                // Any tokens, whether or not a text has them; a fixed walk over the vocabulary.
                let mut compared = 0;
                for start in 0..400_usize {
                    let ids: Vec<u32> =
                        (0..1 + start % 7).map(|i| known[(start * 31 + i * i * 17) % known.len()]).collect();
                    let joined: Vec<u8> =
                        ids.iter().enumerate().flat_map(|(i, &id)| bytes.get(id, i == 0).unwrap().to_vec()).collect();
                    if let Ok(joined) = String::from_utf8(joined) {
                        assert_eq!(joined, tokenizer.decode(&ids).unwrap(), "{kind}, continuous {continuous}: {ids:?}");
                        compared += 1;
                    }
                }
                assert!(compared > 50, "{kind}: {compared}");
            }
        }
    }

    #[test]
    fn decoders_of_llama_and_t5_are_joined_and_others_are_refused() {
        let llama = serde_json::json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
        let llama = steps(&llama).unwrap();
        let of = |steps: &[Step], token: &str, at_start| {
            written(steps, token.to_owned(), at_start).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        assert_eq!(["▁▁a", "<0x20>", "<0x41>", "b"].map(|t| of(&llama, t, true).unwrap()), [" a", "", "A", "b"]);
        assert_eq!(["▁▁a", "<0x20>", "<0x41>", "b"].map(|t| of(&llama, t, false).unwrap()), ["  a", " ", "A", "b"]);
        assert_eq!(written(&llama, "<0xE6>".to_owned(), false), Some(vec![0xE6]));
        let t5 =
            serde_json::json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
        let t5 = steps(&t5).unwrap();
        assert_eq!(["▁▁a", "▁"].map(|t| of(&t5, t, true).unwrap()), ["a", ""]);
        assert_eq!(["▁▁a", "▁"].map(|t| of(&t5, t, false).unwrap()), ["  a", " "]);
        for decoder in [
            serde_json::json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
            serde_json::json!({"type": "BPEDecoder", "suffix": "</w>"}),
            serde_json::json!({"type": "Replace", "pattern": {"Regex": "a+"}, "content": ""}),
        ] {
            let kind = decoder["type"].as_str().unwrap();
            let error = steps(&decoder).err().unwrap().to_string();
            assert!(error.contains(kind) && error.contains("constraint"), "{error}");
        }
    }

    #[test]
    fn a_vocabulary_of_bytes_writes_every_character() {
        let train = |kind, vocabulary| {
            let config = TokenizerConfig { kind, vocabulary, ..Default::default() };
            Tokenizer::train(&config, false, ["aé b"].iter().map(|text| Ok((*text).to_owned()))).unwrap()
        };
        assert_eq!(train(TokenizerKind::Byte, 259).token_bytes().unwrap().characters(), None);
        let characters = train(TokenizerKind::Character, 50).token_bytes().unwrap().characters().unwrap();
        assert_eq!(characters, BTreeSet::from([' ', 'a', 'b', 'é']));
    }
}
