//! What is generated for, and how the texts of its parts become one.

use crate::{Error, Generated};
use descant_generate::{Begun, Constraint};
use std::sync::Arc;

/// What is generated for: the tokens of a source or prompt, or of the parts of a long source.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) parts: Vec<Part>,
    pub(crate) constraints: Vec<Arc<dyn Constraint>>,
    /// What its text has already; of several parts, that of the first.
    pub(crate) begun: Begun,
}

impl Request {
    pub(crate) fn of(parts: Vec<Part>) -> Self {
        Self { parts, constraints: Vec::new(), begun: Begun::default() }
    }

    /// The tokens that are read for it; of a long source in parts, those of its first part.
    pub fn tokens(&self) -> &[u32] {
        self.parts.first().map_or(&[], |part| &part.ids)
    }

    /// The same for a text that goes on after tokens that it has already, or pauses; of a source in several parts, the text of the first. Its answer
    /// has these tokens too, and their log probability.
    #[must_use]
    pub fn begun(mut self, begun: Begun) -> Self {
        self.begun = begun;
        self
    }

    /// What the text of this request has to be, beside [`DecodingOptions::constraints`](descant_generate::DecodingOptions::constraints).
    /// Of a source in several parts, it is the text of each: one [of a whole text](Constraint::is_of_whole_text) is the error of its answer.
    #[must_use]
    pub fn with_constraint(mut self, constraint: Arc<dyn Constraint>) -> Self {
        self.constraints.push(constraint);
        self
    }
}

impl From<Vec<u32>> for Request {
    /// Tokens of [`Trained::encode`](crate::Trained::encode). With guidance, it has no condition to leave out, unlike that of
    /// [`Trained::request`](crate::Trained::request).
    fn from(ids: Vec<u32>) -> Self {
        Self::of(vec![Part { ids, unconditional: None, separator: Separator::Within }])
    }
}

/// The texts for a request, the best first, or why it has none.
pub type Answer = Result<Vec<Generated>, Error>;

/// A part of a source.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Its tokens.
    pub(crate) ids: Vec<u32>,
    /// Of a part with control attributes, those that it would have without them.
    pub(crate) unconditional: Option<Vec<u32>>,
    /// What stands between it and the part before.
    pub(crate) separator: Separator,
}

/// What stands between two parts of a source, and so between their texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Separator {
    /// Nothing, as the parts are of one word.
    Within,
    /// Nothing, as in scripts without spaces: a space where the texts are written with them.
    Bound,
    /// White space.
    Space(String),
}

/// Whether a character is of a script without spaces between words: Thai and its neighbours, Chinese, Japanese.
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
}

/// The texts of parts as one.
pub(crate) fn join(mut parts: Vec<Vec<Generated>>, separators: &[Separator]) -> Vec<Generated> {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let count = parts.iter().map(Vec::len).min().unwrap_or(0);
    let one = |rank: usize| {
        let mut whole = Generated::default();
        for (i, (texts, separator)) in parts.iter().zip(separators).enumerate() {
            let part = &texts[rank];
            match separator {
                _ if i == 0 => {}
                Separator::Space(space) => whole.text += space,
                Separator::Bound => {
                    let ends = [whole.text.chars().next_back(), part.text.chars().next()];
                    let is_spaced = |end: Option<char>| end.is_some_and(|c| !c.is_whitespace() && !is_unspaced(c));
                    whole.text += if ends.into_iter().all(is_spaced) { " " } else { "" };
                }
                Separator::Within => {}
            }
            whole.text += &part.text;
            whole.tokens.extend(&part.tokens);
            whole.score += part.score;
            whole.log_probability += part.log_probability;
            whole.unknown += part.unknown;
            whole.cut |= part.cut;
        }
        // What is cut off anywhere is not whole.
        let mut reasons = parts.iter().map(|texts| texts[rank].finish_reason);
        let cut_off = reasons.clone().find(|reason| !reason.is_finished());
        whole.finish_reason = cut_off.or(reasons.next_back()).unwrap_or_default();
        whole
    };
    (0..count).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_texts_have_the_space_between_their_parts_and_say_what_was_cut() {
        let part = |text: &str, cut: bool| {
            vec![Generated {
                text: text.to_owned(),
                cut,
                finish_reason: descant_generate::FinishReason::Eos,
                ..Generated::default()
            }]
        };
        let space = Separator::Space("  ".to_owned());
        let joined = |separator: &Separator, texts: [&str; 2]| {
            let parts = vec![part(texts[0], true), part(texts[1], false)];
            join(parts, &[Separator::Within, separator.clone()]).remove(0)
        };
        assert_eq!(joined(&space, ["a.", "b."]).text, "a.  b.");
        assert_eq!(joined(&Separator::Bound, ["a.", "b."]).text, "a. b.");
        assert_eq!(joined(&Separator::Bound, ["我。", "b"]).text, "我。b");
        let within = joined(&Separator::Within, ["a", "b"]);
        assert_eq!((within.text.as_str(), within.cut, within.is_finished()), ("ab", true, true));
    }
}
