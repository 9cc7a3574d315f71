//! Translation edit rate (Snover et al. 2006), in the numbers of sacreBLEU, which are those of Tercom.

use crate::edit_distance::{Edit, edits};
use crate::metric::{Direction, Metric, Scale};
use crate::whitespace::words;

/// TER: the fewest insertions, deletions, substitutions and shifts of adjacent words that turn a text into a reference, by the mean length
/// of the references. Case does not count. Shifts are found greedily.
///
/// The statistics of a text are its edits, of the reference that needs fewest, and that mean length.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ter;

/// The most words that are shifted together.
const SHIFT_LENGTH: usize = 10;
/// The farthest that words are shifted.
const SHIFT_DISTANCE: usize = 50;
/// How many shifts are tried for a text, which bounds the time of long ones.
const CANDIDATES: usize = 1000;

impl Metric for Ter {
    fn signature(&self, references: &str) -> String {
        format!("nrefs:{references}|case:lc|tok:tercom|norm:no|punct:yes|asian:no")
    }

    fn direction(&self) -> Direction {
        Direction::Smaller
    }

    fn scale(&self) -> Scale {
        Scale::Points
    }

    fn statistics(&self, hypothesis: &str, references: &[&str], _source: &str) -> Vec<f64> {
        let lowercase = |text: &str| words(&text.to_lowercase()).map(str::to_owned).collect::<Vec<_>>();
        let hypothesis = lowercase(hypothesis);
        let references: Vec<Vec<String>> = references.iter().map(|reference| lowercase(reference)).collect();
        let fewest = references.iter().map(|reference| edits_with_shifts(&hypothesis, reference)).min().unwrap_or(0);
        let length: usize = references.iter().map(Vec::len).sum();
        vec![fewest as f64, length as f64 / references.len().max(1) as f64]
    }

    fn score(&self, statistics: &[f64]) -> f64 {
        match *statistics {
            [edits, length] if length > 0.0 => 100.0 * edits / length,
            // Texts where there should be none.
            [edits, _] if edits > 0.0 => 100.0,
            _ => 0.0,
        }
    }
}

/// Edits and shifts together.
fn edits_with_shifts(hypothesis: &[String], reference: &[String]) -> usize {
    if reference.is_empty() {
        return hypothesis.len();
    }
    let mut text: Vec<&str> = hypothesis.iter().map(String::as_str).collect();
    let reference: Vec<&str> = reference.iter().map(String::as_str).collect();
    let (mut shifts, mut tried) = (0, 0);
    while let Some(shifted) = best_shift(&text, &reference, &mut tried) {
        if tried >= CANDIDATES {
            break;
        }
        (text, shifts) = (shifted, shifts + 1);
    }
    shifts + edits(&text, &reference).0
}

/// Where the words of a reference lie in a text, and which words of both are wrong.
#[derive(Default)]
struct Alignment {
    /// For each word of the reference, how many words of the text there are up to the one that stands for it.
    ends: Vec<usize>,
    wrong_in_reference: Vec<bool>,
    wrong_in_text: Vec<bool>,
}

impl Alignment {
    fn of(path: &[Edit]) -> Self {
        let mut found = Self::default();
        for &edit in path {
            if edit != Edit::Insert {
                found.wrong_in_text.push(edit != Edit::Keep);
            }
            if edit != Edit::Delete {
                found.ends.push(found.wrong_in_text.len());
                found.wrong_in_reference.push(edit != Edit::Keep);
            }
        }
        found
    }
}

/// By what a shift is better than another: the edits that it saves, its words, and how near the start it takes them from and puts them.
type Rank = (isize, usize, isize, isize);

/// The text after the shift that saves most edits, if one saves any: of equal ones the longest, then the first in the text, then the one to the
/// first place. Counts how many were tried.
fn best_shift<'a>(text: &[&'a str], reference: &[&str], tried: &mut usize) -> Option<Vec<&'a str>> {
    let (before, path) = edits(text, reference);
    let Alignment { ends, wrong_in_reference, wrong_in_text } = Alignment::of(&path);
    let mut best: Option<(Rank, Vec<&str>)> = None;
    for (start, at, length) in same_words(text, reference) {
        let any_wrong = |wrong: &[bool], from: usize| wrong[from..from + length].iter().any(|&wrong| wrong);
        // Both the words and those that they would stand for must be wrong; and words do not move into themselves.
        let is_within = (start + 1..=start + length).contains(&ends[at]);
        if !any_wrong(&wrong_in_text, start) || !any_wrong(&wrong_in_reference, at) || is_within {
            continue;
        }
        // Before the reference's first of these words, and after each of them.
        let before_it = if at == 0 { Some(0) } else { ends.get(at - 1).copied() };
        let mut targets: Vec<usize> = before_it.into_iter().chain(ends[at..].iter().copied().take(length)).collect();
        targets.dedup();
        for target in targets {
            let shifted = shift(text, start, length, target);
            let saved = before as isize - edits(&shifted, reference).0 as isize;
            *tried += 1;
            let rank = (saved, length, -(start as isize), -(target as isize));
            if best.as_ref().is_none_or(|(best, _)| rank > *best) {
                best = Some((rank, shifted));
            }
        }
        if *tried >= CANDIDATES {
            break;
        }
    }
    best.filter(|((saved, ..), _)| *saved > 0).map(|(_, shifted)| shifted)
}

/// The runs of words that a text and a reference share: where each begins in both, and its length.
fn same_words(text: &[&str], reference: &[&str]) -> impl Iterator<Item = (usize, usize, usize)> {
    let near = |start: usize| start.saturating_sub(SHIFT_DISTANCE)..reference.len().min(start + SHIFT_DISTANCE + 1);
    let places = (0..text.len()).flat_map(move |start| near(start).map(move |at| (start, at)));
    places.flat_map(|(start, at)| {
        let words = text[start..].iter().zip(&reference[at..]).take(SHIFT_LENGTH);
        (1..=words.take_while(|(a, b)| a == b).count()).map(move |length| (start, at, length))
    })
}

/// A text whose words from `start` on stand before the one at `target`. Of a target within the words, as many of those after them come before.
fn shift<'a>(text: &[&'a str], start: usize, length: usize, target: usize) -> Vec<&'a str> {
    let end = start + length;
    let moved = &text[start..end];
    match target {
        _ if target < start => [&text[..target], moved, &text[target..start], &text[end..]].concat(),
        _ if target > end => [&text[..start], &text[end..target], moved, &text[target..]].concat(),
        _ => {
            let after = (length + target).min(text.len());
            [&text[..start], &text[end..after], moved, &text[after..]].concat()
        }
    }
}
