//! Pairs that do not belong together from some line on, as where one of two files misses a line: how well each source fits its own
//! target, and those a few lines further, by length, numbers, punctuation and words that both have.

use super::finding::{Finding, Severity, share_of};
use super::survey::Survey;
use super::words::{hashes, words};
use descant_text::{Form, hash, median, plural};
use std::collections::HashSet;

/// How far the sides may be out of step.
const FURTHEST: isize = 6;
/// Where no offset fits, what a pair is compared with: pairs of lines that are so far apart.
const FAR: [usize; 3] = [41, 101, 251];
/// Pairs for each different text of a side, at most: of more, the texts are labels, which fit other pairs as well.
const ALIKE: usize = 10;
/// The lines out of step, at least.
const LEAST: usize = 20;
/// How far the sum of what fits better is beyond chance, in standard deviations.
const SIGNIFICANT: f64 = 6.0;
/// How well pairs fit that belong together, at least: above those that do not, in units of how much that varies.
const FITS: f64 = 0.4;

/// What a side shows that the other may show too.
struct Traits {
    length: f64,
    /// The numbers of it, as one hash; 0 for none.
    numbers: u64,
    /// What it ends with.
    end: Option<char>,
    commas: usize,
    /// Its longer words.
    words: Vec<u64>,
}

impl Traits {
    fn of(text: &str) -> Self {
        let mut numbers: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty()).collect();
        numbers.sort_unstable();
        let end = text.trim_end().chars().next_back().and_then(|c| match c {
            '.' | '。' => Some('.'),
            '?' | '？' | '؟' => Some('?'),
            '!' | '！' => Some('!'),
            ':' | '：' => Some(':'),
            c if c.is_alphanumeric() => Some('a'),
            _ => None,
        });
        let all: Vec<String> = words(text).into_iter().filter(|word| word.chars().count() >= 4).take(24).collect();
        let mut words = hashes(&all);
        words.sort_unstable();
        words.dedup();
        Self {
            length: (1.0 + text.chars().count() as f64).ln(),
            numbers: if numbers.is_empty() { 0 } else { hash(&numbers) },
            end,
            commas: text.matches([',', '，', '、', ';', '；']).count(),
            words,
        }
    }
}

/// How well two sides fit, by what the ratio of lengths usually is and how much it varies.
fn fit(source: &Traits, target: &Traits, usual: f64, spread: f64) -> f64 {
    let length = -((target.length - source.length - usual).abs() / spread).min(3.0);
    let numbers = match (source.numbers, target.numbers) {
        (0, 0) => 0.0,
        (a, b) if a == b => 2.0,
        (0, _) | (_, 0) => -0.5,
        _ => -1.0,
    };
    let end = match (source.end, target.end) {
        (Some(a), Some(b)) if a == b => 0.3,
        (Some(_), Some(_)) => -0.7,
        _ => 0.0,
    };
    let commas = if source.commas == target.commas { 0.2 } else { -0.2 };
    let shared = source.words.iter().filter(|word| target.words.binary_search(word).is_ok()).count();
    length + numbers + end + commas + shared.min(3) as f64
}

/// The stretch with the largest sum of such values: its range, and how far the sum is beyond chance.
fn largest_sum(values: &[f64]) -> (std::ops::Range<usize>, f64) {
    let (mut best, mut best_sum, mut start, mut sum) = (0..0, 0.0, 0, 0.0);
    for (i, value) in values.iter().enumerate() {
        if sum <= 0.0 {
            (start, sum) = (i, 0.0);
        }
        sum += value;
        if sum > best_sum {
            (best, best_sum) = (start..i + 1, sum);
        }
    }
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len().max(1) as f64;
    let chance = (variance * best.len() as f64).sqrt();
    (best, if chance > 0.0 { best_sum / chance } else { 0.0 })
}

/// Whether one of the sides is one of a few texts.
fn has_labels(survey: &Survey) -> bool {
    survey.sides().any(|(_, texts)| ALIKE * texts.iter().collect::<HashSet<_>>().len() < texts.len())
}

/// Pairs that `is_swapped` are read the other way round.
pub(super) fn check(survey: &Survey, is_swapped: impl Fn(usize) -> bool) -> Vec<Finding> {
    if survey.form != Form::Pairs || survey.pairs.len() < 2 * LEAST || has_labels(survey) {
        return Vec::new();
    }
    let both = survey.pairs.iter().enumerate().map(|(i, pair)| {
        let (source, target) = (Traits::of(pair.source.as_deref().unwrap_or_default()), Traits::of(&pair.target));
        if is_swapped(i) { (target, source) } else { (source, target) }
    });
    let (sources, targets): (Vec<Traits>, Vec<Traits>) = both.unzip();
    let ratio = |i: usize| targets[i].length - sources[i].length;
    let usual = median((0..sources.len()).map(ratio).collect());
    let spread = 1.5 * median((0..sources.len()).map(|i| (ratio(i) - usual).abs()).collect());
    let fit = |i: usize, j: usize| fit(&sources[i], &targets[j], usual, spread.max(0.1));
    let n = sources.len();
    let own: Vec<f64> = (0..n).map(|i| fit(i, i)).collect();
    let offsets = (-FURTHEST..=FURTHEST).filter(|&offset| offset != 0).map(|offset| {
        // Beyond the ends there is nothing that could fit better.
        let better = |i: usize| i.checked_add_signed(offset).filter(|&j| j < n).map_or(0.0, |j| fit(i, j) - own[i]);
        let (range, significance) = largest_sum(&(0..n).map(better).collect::<Vec<_>>());
        (range, significance, offset)
    });
    let best = offsets.max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((range, _, offset)) = best.filter(|(range, found, _)| *found >= SIGNIFICANT && range.len() >= LEAST)
        && survey.every == 1
    {
        return vec![out_of_step(survey, range, Some(offset))];
    }
    // Nothing fits: less than pairs of lines that are far apart fit each other, by half of what the others do.
    let chance = |i: usize| FAR.iter().map(|far| fit(i, (i + far) % n)).sum::<f64>() / FAR.len() as f64;
    let gain: Vec<f64> = (0..n).map(|i| own[i] - chance(i)).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let half = mean(&gain) / 2.0;
    let (range, significance) = largest_sum(&gain.iter().map(|gain| half - gain).collect::<Vec<_>>());
    let rest: Vec<f64> = gain.iter().enumerate().filter(|(i, _)| !range.contains(i)).map(|(_, gain)| *gain).collect();
    let (of_rest, of_range) = (mean(&rest), mean(&gain[range.clone()]));
    let varies = mean(&rest.iter().map(|gain| (gain - of_rest).powi(2)).collect::<Vec<_>>()).sqrt();
    // Only where the others clearly fit.
    let is_lost = of_rest > FITS * varies && of_range < 0.1 * of_rest;
    if significance >= SIGNIFICANT && range.len() >= 3 * LEAST && is_lost {
        return vec![out_of_step(survey, range, None)];
    }
    Vec::new()
}

fn out_of_step(survey: &Survey, range: std::ops::Range<usize>, offset: Option<isize>) -> Finding {
    let (first, last) = (survey.pairs[range.start].line, survey.pairs[range.end - 1].line);
    let (count, all) = (range.len() as u64, survey.pairs.len() as u64);
    let unit = survey.unit;
    let lines = |offset: isize| plural(offset.unsigned_abs() as u64, unit);
    let how = match offset {
        Some(offset) if offset > 0 => format!("the target of each source seems to stand {} later", lines(offset)),
        Some(offset) => format!("the target of each source seems to stand {} earlier", lines(offset)),
        None => "sources and targets fit no better than by chance".to_owned(),
    };
    let message = format!(
        "{}: about from {unit} {first} on, to {unit} {last}, {how}: {}",
        survey.place(),
        share_of(count, all, "pair")
    );
    let remedy = format!(
        "Look at the {unit}s around {first} for one that is missing, empty, or broken in two on one side, or where the sides are swapped, \
         and mend it there: the pairs after it are wrong"
    );
    let shown = [range.start, range.start + range.len() / 2].map(|at| survey.shown_pair(at));
    Finding::new("alignment", Severity::Error, message, remedy).share(count, all).lines(survey.unit, shown)
}
