//! Pairs of which one side is far longer than the other, as pairs that do not belong together are.

use super::finding::{Finding, Severity, share_of};
use super::survey::Survey;
use descant_text::{Form, LengthRatio};

/// How many times the usual ratio of lengths is too much, at least.
const FAR: f64 = 4.0;
/// In units of how much ratios usually differ (the median absolute deviation).
const DEVIATIONS: f64 = 8.0;

pub(super) fn check(survey: &Survey) -> Vec<Finding> {
    if survey.form != Form::Pairs {
        return Vec::new();
    }
    let lengths = survey.pairs.iter().map(|pair| {
        let source = pair.source.as_deref().unwrap_or_default();
        [source.chars().count(), pair.target.chars().count()]
    });
    let lengths: Vec<[usize; 2]> = lengths.collect();
    let usual = LengthRatio::of(&lengths);
    let far = usual.deviations(DEVIATIONS).max(FAR);
    let found: Vec<usize> = (0..lengths.len()).filter(|&i| usual.is_far(lengths[i], far)).collect();
    if found.is_empty() {
        return Vec::new();
    }
    let (count, all) = (found.len() as u64, lengths.len() as u64);
    let severity = if count * 200 >= all { Severity::Warning } else { Severity::Note };
    let message = format!(
        "{}: {} have lengths that are far from the usual ratio ({:.1} characters of a target for each of its source)",
        survey.place(),
        share_of(count, all, "pair"),
        usual.usual()
    );
    let remedy =
        format!("Look whether the two sides belong together; data.filter.length_ratio = {far:.1} takes these out");
    vec![
        Finding::new("length-ratio", severity, message, remedy)
            .share(count, all)
            .lines(survey.unit, found.into_iter().map(|i| survey.shown_pair(i))),
    ]
}
