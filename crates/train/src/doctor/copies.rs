//! Targets that are their sources.

use super::finding::{Finding, Severity, share_of};
use super::survey::Survey;
use descant_text::{Form, is_copy};

/// Copies among the pairs, by their places.
fn copies(survey: &Survey) -> Vec<usize> {
    let is_copy = |&i: &usize| {
        let pair = &survey.pairs[i];
        pair.source.as_deref().is_some_and(|source| is_copy(source, &pair.target))
    };
    (0..survey.pairs.len()).filter(is_copy).collect()
}

/// Where the text that is validated on has as large a share of them, copying is a part of the task.
pub(super) fn check(train: &Survey, validation: Option<&Survey>) -> Vec<Finding> {
    if train.form != Form::Pairs {
        return Vec::new();
    }
    let found = copies(train);
    if found.is_empty() {
        return Vec::new();
    }
    let share = |survey: &Survey, count: usize| count as f64 / survey.pairs.len().max(1) as f64;
    let here = share(train, found.len());
    let there = validation.map_or(0.0, |validation| share(validation, copies(validation).len()));
    let (count, all) = (found.len() as u64, train.pairs.len() as u64);
    let severity = if here >= 0.01 && there < here / 2.0 { Severity::Warning } else { Severity::Note };
    let message = format!("{}: in {} the target is the source", train.place(), share_of(count, all, "pair"));
    let remedy = match severity {
        Severity::Note => "If copying is no part of the task, take them out: data.filter.copies = true",
        _ => {
            "Take them out (data.filter.copies = true): a few percent of copies teach a translator to copy (Khayrallah & Koehn 2018, arXiv 1805.12282)"
        }
    };
    vec![
        Finding::new("copies", severity, message, remedy)
            .share(count, all)
            .lines(train.unit, found.into_iter().map(|i| train.shown_pair(i))),
    ]
}
