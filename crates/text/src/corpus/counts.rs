//! What a corpus is asked for beside its sequences: how much of a text is in it, and what of a vocabulary.

use super::Corpus;
use super::data::{BLOCK, CorpusSide, SequenceSpan};
use crate::TextError;
use std::collections::BTreeMap;

impl Corpus {
    /// Whether it is a part of what was encoded, such as the end that is held out.
    pub fn is_part(&self) -> bool {
        let whole = if self.is_continuous() { self.stored.target.ids.len() } else { self.stored.target.lengths.len() };
        whole.is_ok_and(|whole| self.range != (0..whole))
    }

    /// How many of the text's examples are left out of this part of it: those between its sequences, and, of the last
    /// part, those after them.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn left_out(&self) -> Result<u64, TextError> {
        let report = self.report();
        let Some(examples) = self.stored.examples.as_ref().filter(|_| self.is_part()) else {
            return Ok(report.left_out);
        };
        let number = |at: u64| Ok::<_, TextError>(u64::from(self.check(examples.read(at..at + 1))?[0]));
        let first = if self.range.start == 0 { 0 } else { number(self.range.start - 1)? + 1 };
        let end = match self.range.end == self.check(examples.len())? {
            true => report.examples,
            false => number(self.range.end - 1)? + 1,
        };
        // Pieces of a text are one example.
        let kept = if self.stored.manifest.pieces { self.examples()?.len() as u64 } else { self.len() };
        Ok(end.saturating_sub(first).saturating_sub(kept))
    }

    /// How often each of so many entries occurs on the side of the source, where it has one, and on that of the target.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn occurrences(&self, entries: [usize; 2]) -> Result<[Vec<u64>; 2], TextError> {
        let mut counts = entries.map(|entries| vec![0; entries]);
        for (texts, counts) in [self.stored.source.as_ref(), Some(&self.stored.target)].into_iter().zip(&mut counts) {
            let Some(CorpusSide { ids, .. }) = texts else { continue };
            let all = self.check(ids.len())?;
            for first in (0..all).step_by(1 << 20) {
                for id in self.check(ids.read(first..all.min(first + (1 << 20))))? {
                    counts.get_mut(id as usize).into_iter().for_each(|count| *count += 1);
                }
            }
        }
        Ok(counts)
    }

    /// How many sequences have how many tokens: their sources or prompts, where they have them, and their targets. A continuous text
    /// has none.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn length_counts(&self) -> Result<[BTreeMap<u64, u64>; 2], TextError> {
        let mut counts = [BTreeMap::new(), BTreeMap::new()];
        let blocks = if self.is_continuous() { 0 } else { self.len().div_ceil(BLOCK) };
        for block in 0..blocks {
            for SequenceSpan { source, target, prompt, rejected, .. } in self.places(block)? {
                let prompt = prompt as u64;
                let read = source.map(|source| source.end - source.start).or((prompt > 0).then_some(prompt));
                let lengths = [read, Some(target.end - target.start - prompt - rejected as u64)];
                for (counts, length) in counts.iter_mut().zip(lengths) {
                    length.into_iter().for_each(|length| *counts.entry(length).or_insert(0) += 1);
                }
            }
        }
        Ok(counts)
    }
}
