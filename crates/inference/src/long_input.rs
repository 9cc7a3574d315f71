//! Sources that are longer than a model reads well: cut into parts, which are answered one by one and joined again.

use crate::request::{Part, Separator, is_unspaced};
use crate::{Error, Request, Trained};
use descant_text::Text;
use unicode_segmentation::UnicodeSegmentation;

/// What is done with a source, or a prompt, of more tokens than the model reads well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongInput {
    /// It is an error.
    Error,
    /// A source is cut between sentences (Unicode Standard Annex 29), and the texts of its parts are joined.
    Split,
    /// A source is cut between words, into parts as long as the model reads; of a prompt, the last tokens are read.
    Window,
}

/// The most tokens of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceLimit {
    /// Special tokens included.
    pub tokens: usize,
    /// Whether the model has no positions beyond; else it saw no longer source in training.
    pub is_hard: bool,
}

impl SourceLimit {
    /// That of models which generate together: the fewest positions, and where none is without positions beyond, the shortest source.
    pub fn of(models: &[&Trained]) -> Option<Self> {
        models.iter().filter_map(|model| model.source_limit()).min_by_key(|limit| (!limit.is_hard, limit.tokens))
    }
}

impl Trained {
    /// The most tokens of a source that the model reads well: its positions, or what training showed; of an imported
    /// Transformer, the length in its configuration. None for language models, and where nothing is known.
    pub fn source_limit(&self) -> Option<SourceLimit> {
        let source = self.tokenizers.source.as_ref()?;
        if let Some(tokens) = self.model.max_length() {
            return Some(SourceLimit { tokens, is_hard: true });
        }
        let special = source.special().source_post_processor();
        let added = special.prefix.len() + special.suffix.len();
        let known = match self.lengths {
            Some(lengths) => Some(lengths.longest_source + added).filter(|_| lengths.longest_source > 0),
            None => self.recipe.model.transformer.as_ref().map(|layers| layers.max_length),
        };
        Some(SourceLimit { tokens: known?, is_hard: false })
    }

    /// The request for a source or prompt, with what it would be without its control attributes. A source beyond the [`Trained::source_limit`] is cut into parts, and the best text of each is
    /// joined to the best of the others, the second best to the second best, and so on; where nothing is said of it, it is left as it is.
    ///
    /// # Errors
    /// Where it cannot be encoded; for [`LongInput::Error`] where it is too long.
    pub fn request(&self, source: impl Into<Text>, how: Option<LongInput>) -> Result<Request, Error> {
        self.request_within(source, how, self.source_limit())
    }

    /// The same with another limit, such as [`SourceLimit::of`] an ensemble.
    ///
    /// # Errors
    /// As [`Trained::request`].
    pub fn request_within(
        &self,
        source: impl Into<Text>,
        how: Option<LongInput>,
        limit: Option<SourceLimit>,
    ) -> Result<Request, Error> {
        let text: Text = source.into();
        let ids = self.encode(&text)?;
        // Every part has the attributes of the source.
        let attributes = text.attributes();
        let encode = |part: &str| self.encode(&Text::from(part).with_attributes(attributes.to_vec()));
        let without = |text: Text| (!attributes.is_empty()).then(|| self.encode(&text.with_attributes(Vec::new())));
        let limit = limit.map(|limit| limit.tokens).filter(|&limit| ids.len() > limit);
        let (Some(limit), Some(how)) = (limit, how) else {
            let unconditional = without(text.clone()).transpose()?;
            return Ok(Request::of(vec![Part { ids, unconditional, separator: Separator::Within }]));
        };
        let whole = text.to_string();
        let source = whole.as_str();
        if how == LongInput::Error {
            let reason = format!("the source has {} tokens, and the model reads {limit}", ids.len());
            return Err(Error::Run { path: self.run().to_owned(), reason });
        }
        let room = limit.saturating_sub(encode("")?.len()).max(1);
        let mut pieces = Vec::new();
        self.cut(source, if how == LongInput::Split { Unit::Sentence } else { Unit::Word }, room, &mut pieces)?;
        let mut parts: Vec<Part> = Vec::new();
        let (mut from, mut first) = (0, 0);
        while first < pieces.len() {
            // As many pieces as there is room for, which have fewer or more tokens together than each alone.
            let mut tokens = 0;
            let fits = |piece: &&Piece| {
                tokens += piece.tokens;
                tokens <= room
            };
            let mut count = pieces[first..].iter().take_while(fits).count().max(1);
            let text = |count: usize| &source[from..pieces[first + count - 1].end];
            let mut ids = encode(text(count).trim())?;
            while ids.len() > limit && count > 1 {
                count -= 1;
                ids = encode(text(count).trim())?;
            }
            while first + count < pieces.len() {
                let more = encode(text(count + 1).trim())?;
                if more.len() > limit {
                    break;
                }
                (count, ids) = (count + 1, more);
            }
            let (text, is_within) = (text(count), first > 0 && pieces[first - 1].is_within);
            if !text.trim().is_empty() || parts.is_empty() && first + count == pieces.len() {
                let before = source[..from].trim_end().len();
                let space = &source[before..from + text.len() - text.trim_start().len()];
                let separator = match space {
                    "" if is_within => Separator::Within,
                    "" => Separator::Bound,
                    space => Separator::Space(space.to_owned()),
                };
                parts.push(Part { ids, unconditional: without(text.trim().into()).transpose()?, separator });
            }
            from += text.len();
            first += count;
        }
        Ok(Request::of(parts))
    }

    /// The pieces of a text between which it may be cut; those that are too long are cut into smaller units.
    fn cut(&self, text: &str, unit: Unit, room: usize, pieces: &mut Vec<Piece>) -> Result<(), Error> {
        let added = self.encode(&"".into())?.len();
        let mut end = pieces.last().map_or(0, |piece| piece.end);
        for part in unit.of(text) {
            let tokens = self.encode(&part.into())?.len().saturating_sub(added);
            end += part.len();
            match unit.smaller().filter(|_| tokens > room) {
                Some(smaller) => {
                    self.cut(part, smaller, room, pieces)?;
                    pieces.iter_mut().next_back().into_iter().for_each(|last| last.is_within = false);
                }
                None => pieces.push(Piece { end, tokens, is_within: unit == Unit::Character }),
            }
        }
        Ok(())
    }
}

/// A piece of a text that is not cut.
#[derive(Debug)]
struct Piece {
    /// Where it ends, in bytes of the text.
    end: usize,
    tokens: usize,
    /// Whether what follows is of the same word.
    is_within: bool,
}

/// What a text is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Sentence,
    Word,
    Character,
}

impl Unit {
    fn smaller(self) -> Option<Self> {
        match self {
            Self::Sentence => Some(Self::Word),
            Self::Word => Some(Self::Character),
            Self::Character => None,
        }
    }

    fn of(self, text: &str) -> Vec<&str> {
        match self {
            Self::Sentence => text.split_sentence_bounds().collect(),
            Self::Word => words(text),
            Self::Character => text.graphemes(true).collect(),
        }
    }
}

/// A text cut after white space, and in scripts without spaces between words: punctuation stays with the word that it stands at.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut from, mut end) = (0, 0);
    for bound in text.split_word_bounds() {
        let last = text[..end].chars().next_back();
        let may_part = last.zip(bound.chars().next()).is_some_and(|(last, next)| {
            !next.is_whitespace()
                && (last.is_whitespace() || next.is_alphanumeric() && (is_unspaced(last) || is_unspaced(next)))
        });
        if may_part {
            words.push(&text[from..end]);
            from = end;
        }
        end += bound.len();
    }
    if from < end {
        words.push(&text[from..end]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_part_from_their_neighbours_and_not_from_their_punctuation() {
        for (text, expected) in [
            ("The man is here. The woman, too!", &["The ", "man ", "is ", "here. ", "The ", "woman, ", "too!"][..]),
            ("well-known (3.14%) \u{201c}yes\u{201d}  no", &["well-known ", "(3.14%) ", "\u{201c}yes\u{201d}  ", "no"]),
            ("我在。他不在!", &["我", "在。", "他", "不", "在!"]),
            ("", &[]),
        ] {
            assert_eq!(words(text), expected);
        }
    }
}
