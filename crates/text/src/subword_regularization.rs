//! Subword regularisation: texts are segmented anew in every epoch, so that rare subwords are trained, and a word is seen in several segmentations.

use crate::bpe_dropout::BpeDropout;
use crate::unigram_sampling::UnigramSampling;
use crate::{TextError, Tokenizer};
use rand_pcg::Pcg64;
use serde_json::Value;
use std::sync::Arc;

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
    /// `longest` stays as it is.
    ///
    /// # Errors
    /// Where the tokenizer is of another kind.
    pub fn bpe_dropout(rate: f64, tokenizer: &Tokenizer, longest: usize) -> Result<Self, TextError> {
        let wrong = "data.bpe_dropout: the tokenizer has no merges. Take tokenizer.kind = \"bpe\" or \"byte-bpe\"";
        let kind = |model: &Value| Some(Kind::BpeDropout(BpeDropout::new(rate, model)?.into()));
        Self::new(kind, wrong, tokenizer, longest)
    }

    /// Sampling with a unigram model (Kudo 2018, arXiv 1804.10959), by probabilities to the power of alpha.
    ///
    /// # Errors
    /// As [`SubwordRegularization::bpe_dropout`].
    pub fn unigram_sampling(alpha: f64, tokenizer: &Tokenizer, longest: usize) -> Result<Self, TextError> {
        let wrong =
            "data.unigram_sampling: the tokenizer's pieces have no probabilities. Take tokenizer.kind = \"unigram\"";
        let kind = |model: &Value| Some(Kind::UnigramSampling(UnigramSampling::new(alpha, model)?.into()));
        Self::new(kind, wrong, tokenizer, longest)
    }

    fn new(
        kind: impl Fn(&Value) -> Option<Kind>,
        wrong: &str,
        tokenizer: &Tokenizer,
        longest: usize,
    ) -> Result<Self, TextError> {
        let json: Value =
            serde_json::from_str(&tokenizer.to_json()?).map_err(|error| TextError::Tokenizer(error.to_string()))?;
        let kind = kind(&json["model"]).ok_or_else(|| TextError::Tokenizer(wrong.to_owned()))?;
        let bytes = tokenizer.token_bytes()?;
        let has_space = |id: usize| {
            let first = u32::try_from(id).ok().and_then(|id| bytes.get(id, false)?.first().copied());
            first.is_some_and(|byte| byte.is_ascii_whitespace())
        };
        Ok(Self { kind, spaces: (0..tokenizer.vocabulary()).map(has_space).collect(), longest })
    }

    /// The ids of a text in another segmentation.
    pub(crate) fn apply(&self, ids: &[u32], random: &mut Pcg64) -> Vec<u32> {
        let has_space = |id: &u32| self.spaces.get(*id as usize) == Some(&true);
        let mut segmented = Vec::with_capacity(2 * ids.len());
        for word in ids.chunk_by(|_, next| !has_space(next)) {
            match &self.kind {
                Kind::BpeDropout(dropout) => dropout.sample(word, random, &mut segmented),
                Kind::UnigramSampling(sampling) => sampling.sample(word, random, &mut segmented),
            }
        }
        if segmented.len() > self.longest.max(ids.len()) { ids.to_vec() } else { segmented }
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
            let of = |strength: f64, longest| match kind {
                "unigram" => SubwordRegularization::unigram_sampling(strength, &tokenizer, longest).unwrap(),
                _ => SubwordRegularization::bpe_dropout(strength, &tokenizer, longest).unwrap(),
            };
            let mut random = Pcg64::seed_from_u64(1);
            for text in TEXTS {
                let ids = tokenizer.encode(text).unwrap();
                let mut lengths = [0; 4];
                for _ in 0..50 {
                    for (length, strength) in lengths.iter_mut().zip(strengths) {
                        let other = of(strength, usize::MAX).apply(&ids, &mut random);
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
                // As long as it may be, or as it was.
                let (most, limit) = (ids.len() + 3, of(strengths[3], ids.len() + 3));
                assert!((0..50).all(|_| limit.apply(&ids, &mut random).len() <= most));
            }
        }
    }

    #[test]
    fn another_kind_of_tokenizer_is_refused() {
        let wrong = |found: Result<SubwordRegularization, TextError>| found.unwrap_err().to_string();
        let bpe = wrong(SubwordRegularization::bpe_dropout(0.1, &tokenizer("character"), 99));
        assert!(bpe.contains("data.bpe_dropout") && bpe.contains("byte-bpe"), "{bpe}");
        let unigram = wrong(SubwordRegularization::unigram_sampling(0.1, &tokenizer("bpe"), 99));
        assert!(unigram.contains("data.unigram_sampling"), "{unigram}");
    }
}
