//! Replacements of characters as SentencePiece itself does them: of all that match at a position, the longest. `tokenizers`' own
//! look at graphemes of at most 5 bytes, or at single characters, and take the shortest.

use super::error::wrong;
use crate::TextError;
use crate::tokenizer_file::Charsmap;
use serde_json::Value;
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper};

/// The steps of a normalizer.
#[derive(Clone, Debug)]
pub(super) struct Steps(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    Replacements(Charsmap),
    Other(NormalizerWrapper),
}

impl Steps {
    /// Those of a normalizer that has replacements; else none.
    pub(super) fn of(normalizer: Option<&NormalizerWrapper>) -> Result<Option<Self>, TextError> {
        let Some(normalizer) = normalizer else { return Ok(None) };
        let json = serde_json::to_value(normalizer).map_err(wrong)?;
        let parts = match json.get("normalizers").and_then(Value::as_array) {
            Some(parts) => parts.clone(),
            None => vec![json],
        };
        if !parts.iter().any(|part| part["type"] == "Precompiled") {
            return Ok(None);
        }
        let step = |part: Value| match part["precompiled_charsmap"].as_str() {
            Some(base64) => Charsmap::read(base64).map(Step::Replacements).map_err(TextError::Tokenizer),
            None => serde_json::from_value(part).map(Step::Other).map_err(wrong),
        };
        Ok(Some(Self(parts.into_iter().map(step).collect::<Result<_, _>>()?)))
    }
}

impl Normalizer for Steps {
    fn normalize(&self, text: &mut NormalizedString) -> tokenizers::Result<()> {
        self.0.iter().try_for_each(|step| match step {
            Step::Replacements(charsmap) => {
                replace(charsmap, text);
                Ok(())
            }
            Step::Other(normalizer) => normalizer.normalize(text),
        })
    }
}

fn replace(charsmap: &Charsmap, text: &mut NormalizedString) {
    // The characters, each with how many it stands for beyond one: 1 where it is new, below 0 where others went with it.
    let mut all: Vec<(char, isize)> = Vec::new();
    let mut gone_first = 0;
    let mut rest = text.get();
    while let Some(first) = rest.chars().next() {
        let Some((len, by)) = charsmap.longest(rest) else {
            all.push((first, 0));
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let (old, new) = (rest[..len].chars().count(), by.chars().count());
        all.extend(by.chars().enumerate().map(|(i, character)| (character, isize::from(i >= old))));
        let gone = old.saturating_sub(new);
        match all.last_mut() {
            Some((_, change)) => *change -= gone as isize,
            None => gone_first += gone,
        }
        rest = &rest[len..];
    }
    text.transform(all, gone_first);
}
