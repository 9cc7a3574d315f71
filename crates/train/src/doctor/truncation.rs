//! Texts that were cut off at one length.

use super::finding::{Finding, Severity, share_of};
use super::survey::Survey;
use std::collections::BTreeMap;

/// Texts of the largest length, at least.
const LEAST: usize = 5;
/// The share of the other texts that end with a sentence's end, at least, and of those at the limit, at most.
const ENDED: f64 = 0.6;
const CUT: f64 = 0.3;

fn is_ended(text: &str) -> bool {
    let end = text.trim_end().trim_end_matches(['"', '\'', '”', '’', '»', ')', '」', '』', '）']);
    end.ends_with(['.', '!', '?', '…', ':', ';', '。', '！', '？', '；', '：', '।', '؟'])
}

/// A unit, and how many of it a text has.
type Measure = (&'static str, fn(&str) -> usize);

/// How lengths are measured where texts are cut.
const MEASURES: [Measure; 3] = [
    ("characters", |text| text.chars().count()),
    ("bytes", str::len),
    ("words", |text| text.split_whitespace().count()),
];

pub(super) fn check(survey: &Survey) -> Vec<Finding> {
    survey.sides().filter_map(|(side, texts)| of_side(survey, side, &texts)).collect()
}

fn of_side(survey: &Survey, side: &str, texts: &[&str]) -> Option<Finding> {
    MEASURES.iter().find_map(|(unit, measure)| {
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (i, text) in texts.iter().enumerate() {
            by_length.entry(measure(text)).or_default().push(i);
        }
        let (&longest, at_limit) = by_length.last_key_value()?;
        // Blanks at the cut may have been taken away.
        let mut found: Vec<usize> =
            by_length.range(longest.saturating_sub(1)..).flat_map(|(_, all)| all).copied().collect();
        found.sort_unstable();
        let below: usize =
            by_length.range(longest.saturating_sub(11)..longest.saturating_sub(1)).map(|(_, all)| all.len()).sum();
        // As many as there are at ten lengths below, where long texts become ever rarer.
        if at_limit.len() < LEAST || found.len() <= below.max(LEAST) || longest < 8 {
            return None;
        }
        let ended = |of: &[usize]| of.iter().filter(|&&i| is_ended(texts[i])).count() as f64 / of.len().max(1) as f64;
        let others: Vec<usize> =
            by_length.range(..longest.saturating_sub(1)).flat_map(|(_, all)| all).copied().collect();
        if others.is_empty() || ended(&others) < ENDED || ended(&found) > CUT {
            return None;
        }
        found.retain(|&i| !is_ended(texts[i]));
        let (count, all) = (found.len() as u64, texts.len() as u64);
        let severity = if count * 200 >= all { Severity::Warning } else { Severity::Note };
        let message = format!(
            "{}: {} are cut off at {longest} {unit}, without the end that most others have",
            survey.place(),
            share_of(count, all, side)
        );
        let remedy = "Take the texts from where they are whole, or take these lines out: the model learns to break off";
        Some(
            Finding::new("truncation", severity, message, remedy)
                .share(count, all)
                .lines(survey.unit, found.iter().map(|&i| survey.shown(i, side))),
        )
    })
}
