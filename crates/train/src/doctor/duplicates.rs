//! Examples that come again.

use super::finding::{Finding, Severity, share_of};
use super::survey::{Pair, Survey};
use super::words::{hashes, words};
use descant_text::{Form, example_hash, hash};
use std::collections::HashMap;

/// Hashes that are kept, at most; of more, those that end with ever more zero bits, so that memory stays bounded.
const MOST: usize = 1 << 21;

/// Counts the examples of a text that came before.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    exact: Hashes,
    /// The same but for case, punctuation and spaces.
    near: Hashes,
}

/// Examples by a hash of theirs.
#[derive(Debug, Default)]
struct Hashes {
    /// What was seen first of each, by another hash, and how often such ones were seen again.
    seen: HashMap<u64, (u64, u64)>,
    /// Bits that are zero in all of them.
    zeros: u32,
    /// The first few that were seen again.
    first: Vec<(u64, String)>,
}

impl Hashes {
    /// Sees one; it counts where an earlier one `is_same` by the other hash.
    fn see(&mut self, hash: u64, other: u64, pair: &Pair, is_same: impl Fn(u64, u64) -> bool) {
        if hash.trailing_zeros() < self.zeros {
            return;
        }
        let Some((before, count)) = self.seen.get_mut(&hash) else {
            self.seen.insert(hash, (other, 0));
            while self.seen.len() > MOST {
                self.zeros += 1;
                self.seen.retain(|hash, _| hash.trailing_zeros() >= self.zeros);
            }
            return;
        };
        if is_same(*before, other) {
            *count += 1;
            if self.first.len() < 3 {
                self.first.push(pair.shown());
            }
        }
    }

    /// How many there are; of a sample of the hashes, about.
    fn count(&self) -> u64 {
        self.seen.values().map(|(_, count)| count).sum::<u64>() << self.zeros
    }
}

impl Duplicates {
    pub(super) fn see(&mut self, pair: &Pair) {
        let exact = example_hash(pair.source.as_deref(), &pair.target, &pair.attributes);
        self.exact.see(exact, exact, pair, |_, _| true);
        let source = pair.source.as_deref().map(|source| hashes(&words(source)));
        let target = hashes(&words(&pair.target));
        // Without words, all would be alike.
        if !target.is_empty() && source.as_ref().is_none_or(|source| !source.is_empty()) {
            self.near.see(hash(&(source, target, &pair.attributes)), exact, pair, |before, exact| before != exact);
        }
    }

    pub(super) fn findings(self, survey: &Survey) -> Vec<Finding> {
        // Lines of one text, such as verses, may well come again.
        if survey.form == Form::Continuous {
            return Vec::new();
        }
        let (exact, all) = (self.exact.count(), survey.examples);
        let near = self.near.count();
        let kinds = [
            ("duplicates", exact, self.exact.first, 0.01, "came before", "data.filter.duplicates = true"),
            (
                "near-duplicates",
                near,
                self.near.first,
                0.05,
                "came before but for case, punctuation and spaces",
                "a script that compares them so",
            ),
        ];
        let found =
            kinds.into_iter().filter(|(_, count, ..)| *count > 0).map(|(check, count, first, most, what, how)| {
                let severity = if count as f64 >= most * all as f64 { Severity::Warning } else { Severity::Note };
                let message = format!("{}: {} {what}", survey.place(), share_of(count, all, survey.thing()));
                let remedy = format!("Take them out, such as with {how}, unless they are to count more than others");
                Finding::new(check, severity, message, remedy).share(count, all).lines(survey.unit, first)
            });
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_count_about_right() {
        let mut hashes = Hashes::default();
        let pair = Pair { line: 1, file: None, source: None, target: String::new(), attributes: Vec::new() };
        for _ in 0..2 {
            (0..3 * MOST as u64).for_each(|i| hashes.see(hash(&i), i, &pair, |one, other| one == other));
        }
        assert!(hashes.seen.len() <= MOST);
        let share = hashes.count() as f64 / (3 * MOST) as f64;
        assert!((0.98..1.02).contains(&share), "{share}");
    }
}
