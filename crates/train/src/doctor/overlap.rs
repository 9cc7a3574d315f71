//! Texts to validate or test on that are among those to learn from: what is measured on them is memory.

use super::finding::{Finding, Severity, share_of};
use super::survey::{Pair, Survey};
use super::words::{hashes, one_apart, without_each, words};
use descant_text::{Form, example_hash, hash};
use std::collections::HashMap;

/// Examples of a text that are compared, at most, spread evenly.
const MOST: usize = 50_000;
/// Words of a source, at least, for one that differs not to matter; and of its target.
const WORDS: usize = 6;
const TARGET_WORDS: usize = 4;
/// Examples that have one such hash in common, at most: of more, the text is made by a pattern.
const ALIKE: usize = 4;

/// One that is held out.
#[derive(Debug)]
struct HeldOut {
    at: usize,
    /// The words of its sides, with those that have digits, which matter.
    sides: [Side; 2],
    /// The line of the training text that has it: as it is, but for case and punctuation, and but for one word.
    exact: Option<u64>,
    near: Option<u64>,
    one_apart: Option<u64>,
}

#[derive(Debug, Default)]
struct Side {
    words: Vec<u64>,
    numbers: Vec<bool>,
}

impl Side {
    fn of(text: &str) -> Self {
        let all = words(text);
        let numbers = all.iter().map(|word| word.contains(|c: char| c.is_numeric())).collect();
        Self { words: hashes(&all), numbers }
    }

    /// Whether another one is the same but for one word without digits.
    fn is_near(&self, other: &Self, least: usize) -> bool {
        match one_apart(&self.words, &other.words) {
            Some(Some(at)) => self.words.len() >= least && !self.numbers[at] && !other.numbers[at],
            Some(None) => true,
            None => false,
        }
    }
}

/// Sides of a pair: what identifies it first, which is the source where there is one.
fn sides(pair: &Pair) -> [Side; 2] {
    match &pair.source {
        Some(source) => [Side::of(source), Side::of(&pair.target)],
        None => [Side::of(&pair.target), Side::default()],
    }
}

/// Compares training examples, as they are read, with a text that is held out.
#[derive(Debug)]
pub(super) struct Overlap {
    held_out: Vec<HeldOut>,
    exact: HashMap<u64, Vec<usize>>,
    normalized: HashMap<u64, Vec<usize>>,
    without_one: HashMap<u64, Vec<usize>>,
}

impl Overlap {
    pub(super) fn with(survey: &Survey) -> Self {
        let (mut exact, mut normalized, mut without_one) = (HashMap::new(), HashMap::new(), HashMap::new());
        let step = survey.pairs.len().div_ceil(MOST).max(1);
        let mut held_out = Vec::new();
        let comparable = survey.form != Form::Continuous;
        for (at, pair) in survey.pairs.iter().enumerate().step_by(step).filter(|_| comparable) {
            let sides = sides(pair);
            let add = |map: &mut HashMap<u64, Vec<usize>>, hash| map.entry(hash).or_default().push(held_out.len());
            add(&mut exact, example_hash(pair.source.as_deref(), &pair.target, &[]));
            if !sides[0].words.is_empty() {
                add(&mut normalized, hash(&(&sides[0].words, &sides[1].words)));
            }
            if sides[0].words.len() >= WORDS {
                without_each(&sides[0].words).into_iter().for_each(|hash| add(&mut without_one, hash));
            }
            held_out.push(HeldOut { at, sides, exact: None, near: None, one_apart: None });
        }
        without_one.retain(|_, all| all.len() <= ALIKE);
        Self { held_out, exact, normalized, without_one }
    }

    pub(super) fn see(&mut self, pair: &Pair) {
        if self.held_out.is_empty() {
            return;
        }
        for &i in self.exact.get(&example_hash(pair.source.as_deref(), &pair.target, &[])).into_iter().flatten() {
            self.held_out[i].exact.get_or_insert(pair.line);
        }
        let own = sides(pair);
        for &i in self.normalized.get(&hash(&(&own[0].words, &own[1].words))).into_iter().flatten() {
            self.held_out[i].near.get_or_insert(pair.line);
        }
        if own[0].words.len() < WORDS {
            return;
        }
        for hash in without_each(&own[0].words) {
            for &i in self.without_one.get(&hash).into_iter().flatten() {
                let held_out = &mut self.held_out[i];
                let [source, target] = &held_out.sides;
                if source.is_near(&own[0], WORDS) && target.is_near(&own[1], TARGET_WORDS) {
                    held_out.one_apart.get_or_insert(pair.line);
                }
            }
        }
    }

    pub(super) fn findings(&self, survey: &Survey, train: &Survey) -> Vec<Finding> {
        let all = self.held_out.len() as u64;
        let of = |which: fn(&HeldOut) -> Option<u64>| -> Vec<(usize, u64)> {
            self.held_out.iter().filter_map(|one| Some((one.at, which(one)?))).collect()
        };
        let near = of(|one| one.near.filter(|_| one.exact.is_none()));
        let one_apart = of(|one| one.one_apart.filter(|_| one.exact.or(one.near).is_none()));
        // What is made by a pattern is everywhere one word apart.
        let kinds = [
            ("overlap", of(|one| one.exact), 0.01, "are in the training text too"),
            ("near-overlap", near, 0.05, "are in the training text but for case, punctuation and spaces"),
            ("near-overlap", one_apart, f64::INFINITY, "are in the training text but for one word"),
        ];
        let found = kinds.into_iter().filter(|(_, found, ..)| !found.is_empty()).map(|(check, found, most, what)| {
            let count = found.len() as u64;
            let severity = if count as f64 >= most * all as f64 { Severity::Warning } else { Severity::Note };
            let message = format!("{}: {} {what}", survey.place(), share_of(count, all, survey.thing()));
            let remedy = "Take them out of the training text, so that what is measured is not what was memorised";
            let shown = found.into_iter().map(|(at, line)| {
                let (own, text) = survey.shown_pair(at);
                (own, format!("({} {line} of {}) {text}", train.unit, train.name))
            });
            Finding::new(check, severity, message, remedy).share(count, all).lines(survey.unit, shown)
        });
        found.collect()
    }
}
