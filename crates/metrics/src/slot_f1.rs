//! F1 of slots, as conlleval and seqeval have it (Tjong Kim Sang & Buchholz 2000).

use crate::metric::{Direction, Metric, Scale};
use crate::whitespace::words;
use std::collections::HashSet;

/// F1 of the slots of texts that are a tag for each word of their source: `B-NAME` begins a slot, `I-NAME` continues it, and any other word is
/// outside. A slot is right where its name and the places of its first and last word are, of several references in the nearest.
///
/// The statistics of a text are its right slots, all of its slots, and those of its reference. Without any of these all is right, where
/// seqeval has 0.
#[derive(Clone, Copy, Debug)]
pub struct SlotF1 {
    /// How many slots the references have.
    pub slots: usize,
}

/// A slot: its name, its first word, and the one after its last.
type Slot<'a> = (&'a str, usize, usize);

impl SlotF1 {
    /// Over these references.
    pub fn of<'a>(references: impl IntoIterator<Item = &'a str>) -> Self {
        Self { slots: references.into_iter().map(|reference| slots(reference).len()).sum() }
    }
}

/// The slots of a text in their order; one that no `B-` begins begins with its first `I-`.
fn slots(text: &str) -> Vec<Slot<'_>> {
    let mut slots: Vec<Slot<'_>> = Vec::new();
    for (at, word) in words(text).enumerate() {
        let (begun, continued) = (word.strip_prefix("B-"), word.strip_prefix("I-"));
        let Some(name) = begun.or(continued) else { continue };
        match slots.last_mut() {
            Some((open, _, end)) if continued.is_some() && *open == name && *end == at => *end += 1,
            _ => slots.push((name, at, at + 1)),
        }
    }
    slots
}

impl Metric for SlotF1 {
    fn signature(&self, references: &str) -> String {
        format!("nrefs:{references}|scheme:BIO|slots:{}", self.slots)
    }

    fn direction(&self) -> Direction {
        Direction::Larger
    }

    fn scale(&self) -> Scale {
        Scale::Fraction
    }

    fn statistics(&self, hypothesis: &str, references: &[&str], _source: &str) -> Vec<f64> {
        let found = slots(hypothesis);
        let against = |reference: &&str| {
            let expected: HashSet<Slot<'_>> = slots(reference).into_iter().collect();
            let right = found.iter().filter(|slot| expected.contains(*slot)).count();
            [right, found.len(), expected.len()].map(|count| count as f64).to_vec()
        };
        let nearest = references.iter().map(against).max_by(|a, b| self.score(a).total_cmp(&self.score(b)));
        nearest.unwrap_or_else(|| vec![0.0, found.len() as f64, 0.0])
    }

    fn score(&self, statistics: &[f64]) -> f64 {
        match *statistics {
            [right, found, expected] if found + expected > 0.0 => 2.0 * right / (found + expected),
            [..] => 1.0,
        }
    }
}
