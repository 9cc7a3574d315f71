//! Pairs of which one side is far longer than the other, as pairs that do not belong together are.

use super::finding::{Finding, Severity, share_of};
use super::survey::Survey;
use descant_text::Form;

/// How many times the usual ratio of lengths is too much, at least.
const FAR: f64 = 4.0;
/// In units of how much ratios usually differ (the median absolute deviation).
const DEVIATIONS: f64 = 8.0;
/// Characters of the longer side, at least: short texts vary.
const LEAST: usize = 20;

pub(super) fn check(survey: &Survey) -> Vec<Finding> {
    if survey.form != Form::Pairs {
        return Vec::new();
    }
    let lengths = survey.pairs.iter().map(|pair| {
        let source = pair.source.as_deref().unwrap_or_default();
        [source.chars().count(), pair.target.chars().count()]
    });
    let ratio = |[source, target]: [usize; 2]| ((target + 1) as f64 / (source + 1) as f64).ln();
    let lengths: Vec<[usize; 2]> = lengths.collect();
    let usual = median(lengths.iter().map(|&both| ratio(both)).collect());
    let spread = median(lengths.iter().map(|&both| (ratio(both) - usual).abs()).collect());
    let far = FAR.ln().max(DEVIATIONS * spread);
    let such = |&i: &usize| {
        let both = lengths[i];
        both.iter().all(|&length| length > 0)
            && both.into_iter().max() >= Some(LEAST)
            && (ratio(both) - usual).abs() > far
    };
    let found: Vec<usize> = (0..lengths.len()).filter(such).collect();
    if found.is_empty() {
        return Vec::new();
    }
    let (count, all) = (found.len() as u64, lengths.len() as u64);
    let severity = if count * 200 >= all { Severity::Warning } else { Severity::Note };
    let message = format!(
        "{}: {} have lengths that are far from the usual ratio ({:.1} characters of a target for each of its source)",
        survey.place(),
        share_of(count, all, "pair"),
        usual.exp()
    );
    let remedy = "Look whether the two sides belong together, and take out those that do not";
    vec![
        Finding::new("length-ratio", severity, message, remedy)
            .share(count, all)
            .lines(found.into_iter().map(|i| survey.shown_pair(i))),
    ]
}

/// The middle one; of none, 0.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() {
        return 0.0;
    }
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
