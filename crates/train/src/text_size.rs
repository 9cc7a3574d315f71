//! How long a text is that a loss is over: by it, the losses of models with other tokens compare.

use crate::Error;
use descant_batch::Batch;
use descant_text::{TextError, TokenBytes, Tokenizer};
use std::f64::consts::LN_2;

/// Bytes and characters of the targets of a loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextSize {
    /// Bytes in UTF-8.
    pub bytes: u64,
    /// Unicode code points.
    pub characters: u64,
    /// Targets that are unknown tokens, whose text nobody knows.
    pub unknown: u64,
}

impl TextSize {
    /// Of the targets that count; none where the tokenizer's tokens have no bytes of their own. In a continuous text no
    /// target is the start of one.
    ///
    /// # Errors
    /// Where a batch cannot be read.
    pub(crate) fn of(
        tokenizer: &Tokenizer,
        batches: impl Iterator<Item = Result<Batch, TextError>>,
        is_continuous: bool,
        counts: impl Fn(u32) -> bool,
    ) -> Result<Option<Self>, Error> {
        let Ok(bytes) = tokenizer.token_bytes() else { return Ok(None) };
        let mut size = Self::default();
        for batch in batches {
            let targets = batch?.target;
            for i in 0..targets.len() {
                for (place, &id) in targets.get(i).iter().enumerate().filter(|(_, id)| counts(**id)) {
                    let is_end = tokenizer.special().eos.contains(&id);
                    if !is_end && !size.add(&bytes, id, place == 0 && !is_continuous) {
                        size.unknown += 1;
                    }
                }
            }
        }
        Ok((size.bytes > 0).then_some(size))
    }

    /// Adds a token; whether it has bytes.
    fn add(&mut self, bytes: &TokenBytes, id: u32, at_start: bool) -> bool {
        let Some(bytes) = bytes.get(id, at_start) else { return false };
        self.bytes += bytes.len() as u64;
        // All bytes of a character but the first begin with the bits 10.
        self.characters += bytes.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() as u64;
        true
    }

    /// The loss in bits for each byte and for each character, of one in nats for each of so many tokens.
    pub fn bits_per(&self, loss: f64, tokens: usize) -> [f64; 2] {
        let bits = loss * tokens as f64 / LN_2;
        [bits / self.bytes as f64, bits / self.characters.max(1) as f64]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_batch::Sequences;
    use descant_text::{TokenizerConfig, TokenizerKind};

    fn size(kind: TokenizerKind, texts: [&str; 2], is_continuous: bool) -> TextSize {
        let config = TokenizerConfig { kind, vocabulary: 300, ..TokenizerConfig::default() };
        let known = ["我们 läsen, läsen", "ab ab"].map(|text| Ok(text.to_owned()));
        let tokenizer = Tokenizer::train(&config, false, known.into_iter()).unwrap();
        let mut target = Sequences::new();
        texts
            .iter()
            .for_each(|text| target.push(&[&tokenizer.encode(text).unwrap()[..], &tokenizer.special().eos].concat()));
        let batch = Batch { target, ..Batch::default() };
        TextSize::of(&tokenizer, [Ok(batch)].into_iter(), is_continuous, |id| id != Batch::IGNORED).unwrap().unwrap()
    }

    #[test]
    fn bytes_and_characters_are_those_of_the_text() {
        let texts = ["我们 läsen", "ab"];
        let expected = TextSize { bytes: 6 + 1 + 6 + 2, characters: 2 + 1 + 5 + 2, unknown: 0 };
        for kind in [TokenizerKind::Bpe, TokenizerKind::ByteBpe, TokenizerKind::Character, TokenizerKind::Byte] {
            assert_eq!(size(kind, texts, false), expected, "{kind:?}");
        }
        assert_eq!(size(TokenizerKind::Bpe, ["ж", "ab"], false).unknown, 1, "a character");
    }

    #[test]
    fn a_loss_of_one_bit_for_each_byte_is_that() {
        let size = TextSize { bytes: 12, characters: 8, unknown: 0 };
        let [byte, character] = size.bits_per(3.0 * LN_2, 4);
        assert!((byte - 1.0).abs() < 1e-12 && (character - 1.5).abs() < 1e-12);
    }
}
