//! Subword regularisation: texts are segmented anew in every epoch, so that rare subwords are trained, and a word is seen in several segmentations.

use crate::bpe_dropout::BpeDropout;
use crate::unigram_sampling::UnigramSampling;
use crate::{TextError, Tokenizer};
use rand_pcg::Pcg64;
use serde_json::Value;
use std::sync::Arc;

/// Tokens that are segmented together, at most.
const LONGEST_WORD: usize = 64;

/// The segmentations of the words of a tokenizer.
#[derive(Clone, Debug, PartialEq)]
pub struct SubwordRegularization {
    kind: Kind,
    /// Tokens that a word begins with.
    spaces: Vec<bool>,
    /// Tokens of a text at most.
    longest: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    BpeDropout(Arc<BpeDropout>),
    UnigramSampling(Arc<UnigramSampling>),
}

impl SubwordRegularization {
    /// BPE-dropout (Provilkov et al. 2020, arXiv 1910.13267): each merge is left out with this probability. A text that would have more tokens than
    /// `longest` stays as it is. None where the tokenizer has no merges.
    ///
    /// # Errors
    /// Where the text of its tokens is not known.
    pub fn bpe_dropout(rate: f64, tokenizer: &Tokenizer, longest: usize) -> Result<Option<Self>, TextError> {
        Self::new(|model| Some(Kind::BpeDropout(BpeDropout::new(rate, model)?.into())), tokenizer, longest)
    }

    /// Sampling with a unigram model (Kudo 2018, arXiv 1804.10959), by probabilities to the power of alpha. None where the tokenizer is of another kind.
    ///
    /// # Errors
    /// As [`SubwordRegularization::bpe_dropout`].
    pub fn unigram_sampling(alpha: f64, tokenizer: &Tokenizer, longest: usize) -> Result<Option<Self>, TextError> {
        let is_special = |id: u32| tokenizer.is_special(id);
        let kind = |model: &Value| Some(Kind::UnigramSampling(UnigramSampling::new(alpha, model, &is_special)?.into()));
        Self::new(kind, tokenizer, longest)
    }

    fn new(
        kind: impl Fn(&Value) -> Option<Kind>,
        tokenizer: &Tokenizer,
        longest: usize,
    ) -> Result<Option<Self>, TextError> {
        let json: Value =
            serde_json::from_str(&tokenizer.to_json()?).map_err(|error| TextError::Tokenizer(error.to_string()))?;
        let Some(kind) = kind(&json["model"]) else { return Ok(None) };
        let bytes = tokenizer.token_bytes().map_err(|_| {
            let reason = "data.bpe_dropout and data.unigram_sampling need tokens whose text is known, and this tokenizer's is not";
            TextError::Tokenizer(reason.to_owned())
        })?;
        Ok(Some(Self {
            kind,
            spaces: (0..tokenizer.vocabulary()).map(|id| bytes.has_space(id as u32)).collect(),
            longest,
        }))
    }

    /// Tokens of a text at most.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// The ids of a text in another segmentation.
    pub(crate) fn apply(&self, ids: &[u32], random: &mut Pcg64) -> Vec<u32> {
        let has_space = |id: &u32| self.spaces.get(*id as usize) == Some(&true);
        let mut segmented = Vec::with_capacity(2 * ids.len());
        // A script without spaces has long words, and the time that one takes grows with the square of its length.
        for word in ids.chunk_by(|_, next| !has_space(next)).flat_map(|word| word.chunks(LONGEST_WORD)) {
            match &self.kind {
                Kind::BpeDropout(dropout) => dropout.sample(word, random, &mut segmented),
                Kind::UnigramSampling(sampling) => sampling.sample(word, random, &mut segmented),
            }
        }
        segmented
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenizerConfig;
    use rand_core::SeedableRng;

    const TEXTS: [&str; 4] = [
        "the lowest of the lower rows: low, lower, lowest!",
        "newer news of newest widths, wider and widest (1995 to 2026).",
        "don't we'll it's 'quoted' naïve café 😀",
        "  two  spaces\tand\nlines ",
    ];

    fn tokenizer(kind: &str) -> Tokenizer {
        let kind = serde_json::from_str(&format!("{kind:?}")).unwrap();
        let config = TokenizerConfig { kind, vocabulary: 400, ..Default::default() };
        let texts = TEXTS.iter().cycle().take(40).map(|&text| text.to_owned());
        Tokenizer::train(&config, false, texts.map(Ok)).unwrap()
    }

    #[test]
    fn a_text_stays_what_it_is() {
        for kind in ["bpe", "byte-bpe", "unigram"] {
            let tokenizer = tokenizer(kind);
            // From the most probable segmentation to all alike.
            let strengths = if kind == "unigram" { [1e9, 0.9, 0.4, 0.0] } else { [0.0, 0.1, 0.5, 1.0] };
            let of = |strength: f64| match kind {
                "unigram" => SubwordRegularization::unigram_sampling(strength, &tokenizer, 99).unwrap().unwrap(),
                _ => SubwordRegularization::bpe_dropout(strength, &tokenizer, 99).unwrap().unwrap(),
            };
            let mut random = Pcg64::seed_from_u64(1);
            for text in TEXTS {
                let ids = tokenizer.encode(text).unwrap();
                let mut lengths = [0; 4];
                for _ in 0..50 {
                    for (length, strength) in lengths.iter_mut().zip(strengths) {
                        let other = of(strength).apply(&ids, &mut random);
                        assert_eq!(
                            tokenizer.decode(&other).unwrap(),
                            tokenizer.decode(&ids).unwrap(),
                            "{kind} {strength}"
                        );
                        *length += other.len();
                        assert!(other == ids || strength != strengths[0], "{kind} {text:?}");
                    }
                }
                assert!(lengths[1..].is_sorted() && lengths[0] < lengths[3], "{kind} {lengths:?}");
            }
        }
    }

    #[test]
    fn another_kind_of_tokenizer_has_none() {
        assert!(SubwordRegularization::bpe_dropout(0.1, &tokenizer("character"), 99).unwrap().is_none());
        assert!(SubwordRegularization::bpe_dropout(0.1, &tokenizer("unigram"), 99).unwrap().is_none());
        assert!(SubwordRegularization::unigram_sampling(0.1, &tokenizer("bpe"), 99).unwrap().is_none());
    }

    /// What a text says is never a special token, however even the draws are.
    #[test]
    fn special_tokens_are_not_drawn() {
        let config = TokenizerConfig { kind: crate::TokenizerKind::Unigram, vocabulary: 60, ..Default::default() };
        let text = "a </s> b <s> c <unk> d";
        let tokenizer =
            Tokenizer::train(&config, false, std::iter::repeat_n(text, 20).map(|text| Ok(text.to_owned()))).unwrap();
        let ids = tokenizer.encode(text).unwrap();
        assert!(ids.iter().all(|&id| !tokenizer.is_special(id)));
        let sampling = SubwordRegularization::unigram_sampling(0.0, &tokenizer, 99).unwrap().unwrap();
        let mut random = Pcg64::seed_from_u64(2);
        for _ in 0..300 {
            let drawn = sampling.apply(&ids, &mut random);
            assert!(drawn.iter().all(|&id| !tokenizer.is_special(id)), "{drawn:?}");
            assert_eq!(tokenizer.decode(&drawn).unwrap(), text);
        }
    }
}
