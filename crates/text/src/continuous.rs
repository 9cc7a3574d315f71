//! One continuous text is encoded as one text, though only a part of it is in memory.
//!
//! It is encoded in pieces that overlap, several at once. In an overlap, what comes before is tokens as it is in the whole text,
//! but near the end of the earlier piece, and what comes after, but near the start of the later one: where both have the
//! same tokens for a while, the one is left for the other.

use crate::tokenizer::Placed;
use crate::{Place, TextError, Tokenizer};
use rayon::prelude::*;
use std::ops::Range;

/// Bytes that are encoded at once, on all cores.
const PORTION: usize = 1 << 20;
/// Bytes of a piece, and of it, those that the one before has too.
const PIECE: usize = 1 << 16;
const OVERLAP: usize = 1 << 12;

/// A text, of which more comes.
pub(crate) struct Continuous<'a> {
    tokenizer: &'a Tokenizer,
    /// What is not encoded yet, after an overlap with what is.
    text: String,
    /// The tokens of that overlap.
    tail: Vec<Placed>,
    /// Where in `text` which line begins, or a piece of it.
    lines: Vec<(usize, Place)>,
    from_start: bool,
    portion: usize,
    piece: usize,
}

/// Tokens that are certain, with the text that they are of.
pub(crate) struct Portion<'a> {
    pub(crate) ids: Vec<u32>,
    placed: Vec<Placed>,
    text: &'a str,
    lines: &'a [(usize, Place)],
}

impl Portion<'_> {
    /// The parts of the text that became this token, with their lines.
    pub(crate) fn parts(&self, id: u32) -> impl Iterator<Item = (&str, Place)> {
        self.placed.iter().filter(move |placed| placed.id == id).map(|placed| {
            let line = self.lines.partition_point(|(start, _)| *start <= placed.start).saturating_sub(1);
            let text = self.text.get(placed.start..placed.end).unwrap_or_default();
            (text, self.lines.get(line).map_or(Place::default(), |(_, place)| *place))
        })
    }
}

impl<'a> Continuous<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Self {
        let (text, tail, lines) = (String::new(), Vec::new(), Vec::new());
        Self { tokenizer, text, tail, lines, from_start: true, portion: PORTION, piece: PIECE }
    }

    /// Goes on with a line, or a piece of one, and gives `portion` what of the text is certain.
    ///
    /// # Errors
    /// Where `tokenizers` fails, or `portion`.
    pub(crate) fn push(
        &mut self,
        text: &str,
        place: Place,
        portion: impl FnMut(Portion<'_>) -> Result<(), TextError>,
    ) -> Result<(), TextError> {
        self.lines.push((self.text.len(), place));
        self.text.push_str(text);
        match self.text.len() >= self.portion {
            true => self.encode(false, portion),
            false => Ok(()),
        }
    }

    /// Gives `portion` the rest.
    ///
    /// # Errors
    /// As [`Continuous::push`].
    pub(crate) fn finish(
        &mut self,
        portion: impl FnMut(Portion<'_>) -> Result<(), TextError>,
    ) -> Result<(), TextError> {
        self.encode(true, portion)
    }

    fn encode(
        &mut self,
        is_end: bool,
        mut portion: impl FnMut(Portion<'_>) -> Result<(), TextError>,
    ) -> Result<(), TextError> {
        let pieces = pieces(&self.text, self.piece);
        let encode = |piece: &Range<usize>| {
            let from_start = self.from_start && piece.start == 0;
            let mut placed = self.tokenizer.encode_placed(&self.text[piece.clone()], from_start)?;
            placed
                .iter_mut()
                .for_each(|placed| (placed.start, placed.end) = (placed.start + piece.start, placed.end + piece.start));
            Ok(placed)
        };
        let encoded = pieces.par_iter().map(encode).collect::<Result<Vec<_>, TextError>>()?;
        let mut all = std::mem::take(&mut self.tail);
        for (next, range) in encoded.into_iter().zip(&pieces) {
            join(&mut all, next, range.start);
        }
        let hold = if is_end { self.text.len() } else { boundary(&self.text, self.text.len().saturating_sub(OVERLAP)) };
        // Tokens are in order, but two of one character's bytes may have one place.
        let certain = if is_end { all.len() } else { all.partition_point(|placed| placed.start < hold) };
        let mut tail = all.split_off(certain);
        tail.iter_mut().for_each(|placed| (placed.start, placed.end) = (placed.start - hold, placed.end - hold));
        let ids = all.iter().map(|placed| placed.id).collect();
        portion(Portion { ids, placed: all, text: &self.text, lines: &self.lines })?;
        self.text.drain(..hold);
        let last = self.lines.partition_point(|(start, _)| *start <= hold).saturating_sub(1);
        self.lines.drain(..last);
        self.lines.iter_mut().for_each(|(start, _)| *start = start.saturating_sub(hold));
        (self.tail, self.from_start) = (tail, false);
        Ok(())
    }
}

/// Where the pieces of a text lie.
fn pieces(text: &str, length: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = boundary(text, start + length);
        // No last piece that is all overlap.
        let end = if text.len() - end <= OVERLAP { text.len() } else { end };
        pieces.push(start..end);
        if end == text.len() {
            break;
        }
        start = boundary(text, end - OVERLAP.min(length / 2));
    }
    pieces
}

/// The last place up to `at` that is between two characters.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Adds the tokens of the next piece, which begins at `start`: from the middle of the longest run of tokens on that both
/// have.
fn join(all: &mut Vec<Placed>, next: Vec<Placed>, start: usize) {
    let first = all.partition_point(|placed| placed.start < start);
    let (mut i, mut j) = (first, 0);
    // Where the run of now begins; of the longest one its bytes, where it lies in `all`, and its last token in `next`.
    let mut begin = None;
    let (mut bytes, mut run, mut last) = (0, 0..0, 0);
    while let (Some(a), Some(b)) = (all.get(i), next.get(j)) {
        if a == b {
            let begin = *begin.get_or_insert(i);
            let length = a.end - all[begin].start;
            if length > bytes {
                (bytes, run, last) = (length, begin..i + 1, j);
            }
            (i, j) = (i + 1, j + 1);
            continue;
        }
        begin = None;
        match (a.start, a.end) <= (b.start, b.end) {
            true => i += 1,
            false => j += 1,
        }
    }
    if bytes == 0 {
        // They agree nowhere, as of one character a thousand times: the later one goes on where the earlier one ends.
        let end = all.last().map_or(0, |placed| placed.end);
        all.extend(next.into_iter().filter(|placed| placed.start >= end));
        return;
    }
    let middle = all[run.start].start + bytes / 2;
    let kept = run.start + all[run.clone()].partition_point(|placed| placed.start < middle).max(1);
    // The same number of tokens from the end of the run in either.
    let rest = last + 1 - (run.end - kept);
    all.truncate(kept);
    all.extend(next.into_iter().skip(rest));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TokenizerConfig, TokenizerKind};

    const TEXT: &str = "The first line.\n\n  An indented one, with   spaces; ñandú 我们 and 😊😊.\n\tx = {1: 'a'}\n\n\nThe end of it\r\n";

    fn encoded(tokenizer: &Tokenizer, text: &str, portion: usize, piece: usize) -> (Vec<u32>, Vec<u64>) {
        let mut whole = Continuous { portion, piece, ..Continuous::new(tokenizer) };
        let (mut ids, mut lines) = (Vec::new(), Vec::new());
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let mut take = |portion: Portion<'_>| {
                let unknown = tokenizer.special().unknown.unwrap_or(u32::MAX);
                lines.extend(portion.parts(unknown).map(|(_, place)| place.line));
                ids.extend(portion.ids);
                Ok(())
            };
            whole.push(line, Place { line: 1 + number as u64, file: 0 }, &mut take).unwrap();
        }
        let mut take = |portion: Portion<'_>| {
            let unknown = tokenizer.special().unknown.unwrap_or(u32::MAX);
            lines.extend(portion.parts(unknown).map(|(_, place)| place.line));
            ids.extend(portion.ids);
            Ok(())
        };
        whole.finish(&mut take).unwrap();
        (ids, lines)
    }

    #[test]
    fn a_text_in_pieces_is_the_tokens_that_it_is_as_a_whole() {
        let text = TEXT.repeat(400);
        // `word` keeps no spaces.
        for kind in TokenizerKind::ALL.into_iter().filter(|&kind| kind != TokenizerKind::Word) {
            for continuous in [true, false] {
                let config = TokenizerConfig { kind, vocabulary: 300, ..Default::default() };
                let lines = TEXT.lines().cycle().take(200).map(|line| Ok(line.to_owned()));
                let tokenizer = Tokenizer::train(&config, continuous, lines).unwrap();
                let expected = tokenizer.encode(&text).unwrap();
                for (portion, piece) in [(1 << 14, 10_000), (20_001, 9_001), (1 << 20, 1 << 16), (9000, 50_000)] {
                    assert!(encoded(&tokenizer, &text, portion, piece).0 == expected, "{kind} {portion} {piece}");
                }
            }
        }
    }

    #[test]
    fn what_is_unknown_is_told_with_its_line() {
        let config = TokenizerConfig { kind: TokenizerKind::Character, ..Default::default() };
        let tokenizer = Tokenizer::train(&config, true, ["abc\n".to_owned()].into_iter().map(Ok)).unwrap();
        let text = (0..5000).map(|i| if i % 1000 == 700 { "axb\n" } else { "abc\n" }).collect::<String>();
        let (_, lines) = encoded(&tokenizer, &text, 8000, 5000);
        assert_eq!(lines, [701, 1701, 2701, 3701, 4701]);
    }
}
