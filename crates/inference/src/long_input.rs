//! Sources that are longer than a model reads well: cut into parts, which are answered one by one and joined again.

use crate::{Error, Generated, Trained};
use descant_autograd::Tape;
use descant_generate::DecodingOptions;
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

/// A part of a source.
struct Part<'a> {
    text: &'a str,
    /// White space between it and the part before.
    separator: &'a str,
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

    /// As [`Trained::generate_batch`] for sources of any length: those beyond the [`Trained::source_limit`] are cut into
    /// parts, and the best text of each is joined to the best of the others, the second best to the second best, and so on.
    ///
    /// # Errors
    /// As [`Trained::generate_batch`].
    pub fn generate_in_parts(
        &self,
        tape: &mut Tape,
        sources: &[String],
        numbers: &[u64],
        options: &DecodingOptions,
        how: LongInput,
    ) -> Result<Vec<Vec<Generated>>, Error> {
        let (mut parts, mut seeds, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (source, number) in sources.iter().zip(numbers) {
            let own = self.parts(source, how)?;
            counts.push(own.len());
            // Each part has draws of its own.
            seeds.extend((0..own.len() as u64).map(|part| number | part << 48));
            parts.extend(own);
        }
        let mut generated = Vec::with_capacity(parts.len());
        for (parts, seeds) in parts.chunks(MOST_AT_ONCE).zip(seeds.chunks(MOST_AT_ONCE)) {
            let texts: Vec<Text> = parts.iter().map(|part| part.text.into()).collect();
            generated.extend(self.generate_batch(tape, &texts, seeds.iter().copied(), options, |_, _| ())?);
        }
        let (mut rest, mut joined) = (&generated[..], Vec::with_capacity(counts.len()));
        let mut of_parts = &parts[..];
        for count in counts {
            let (own, after) = rest.split_at(count);
            let (texts, others) = of_parts.split_at(count);
            joined.push(join(own, texts));
            (rest, of_parts) = (after, others);
        }
        Ok(joined)
    }

    /// The parts of a source, none of which is longer than the limit, but for a single character.
    fn parts<'a>(&self, source: &'a str, how: LongInput) -> Result<Vec<Part<'a>>, Error> {
        let limit = self.source_limit().map_or(usize::MAX, |limit| limit.tokens);
        if self.encode(&source.into())?.len() <= limit {
            return Ok(vec![Part { text: source, separator: "" }]);
        }
        let room = limit.saturating_sub(self.encode(&"".into())?.len()).max(1);
        let mut pieces = Vec::new();
        self.cut(source, if how == LongInput::Split { 0 } else { 1 }, room, &mut pieces)?;
        // As many pieces as there is room for make a part.
        let (mut cuts, mut tokens, mut last) = (Vec::new(), 0, 0);
        for (end, length) in pieces {
            if tokens > 0 && tokens + length > room {
                cuts.push(last);
                tokens = 0;
            }
            (tokens, last) = (tokens + length, end);
        }
        cuts.push(source.len());
        let (mut parts, mut from, mut written) = (Vec::new(), 0, 0);
        for end in cuts {
            let text = source[from..end].trim();
            if !text.is_empty() {
                let start = end - source[from..end].trim_start().len();
                parts.push(Part { text, separator: &source[written..start] });
                written = start + text.len();
            }
            from = end;
        }
        Ok(parts)
    }

    /// Where the sentences, words or characters of a text end, by the level of the cut, and how many tokens each has; those
    /// that are too long are cut on the level below.
    fn cut(&self, text: &str, level: usize, room: usize, pieces: &mut Vec<(usize, usize)>) -> Result<(), Error> {
        let units: Vec<&str> = match level {
            0 => text.split_sentence_bounds().collect(),
            1 => text.split_word_bounds().collect(),
            _ => text.graphemes(true).collect(),
        };
        let mut end = pieces.last().map_or(0, |&(end, _)| end);
        let added = self.encode(&"".into())?.len();
        for unit in units {
            let tokens = self.encode(&unit.into())?.len().saturating_sub(added);
            end += unit.len();
            match tokens > room && level < 2 {
                true => self.cut(unit, level + 1, room, pieces)?,
                false => pieces.push((end, tokens)),
            }
        }
        Ok(())
    }
}

/// Parts that are generated for at once.
const MOST_AT_ONCE: usize = 32;

/// The texts of parts as one.
fn join(parts: &[Vec<Generated>], of: &[Part<'_>]) -> Vec<Generated> {
    if let [one] = parts {
        return one.clone();
    }
    let count = parts.iter().map(Vec::len).min().unwrap_or(0);
    let one = |rank: usize| {
        let mut whole = Generated::default();
        for (i, (texts, part)) in parts.iter().zip(of).enumerate() {
            let text = &texts[rank];
            whole.text += if i == 0 { "" } else { part.separator };
            whole.text += &text.text;
            whole.tokens.extend(&text.tokens);
            whole.score += text.score;
            whole.log_probability += text.log_probability;
            whole.unknown += text.unknown;
        }
        // What is cut off anywhere is not whole.
        let cut_off = parts.iter().map(|texts| texts[rank].finish_reason).find(|reason| !reason.is_finished());
        whole.finish_reason = cut_off.unwrap_or(parts[parts.len() - 1][rank].finish_reason);
        whole
    };
    (0..count).map(one).collect()
}
