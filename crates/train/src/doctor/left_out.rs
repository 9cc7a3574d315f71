//! What encoding leaves out, and what the vocabulary does not have, as training counts it.

use super::finding::{Finding, Severity, percent};
use super::survey::Survey;
use descant_inference::{Error, Tokenizers};
use descant_text::{Corpus, Remark, SideReport, Tokenizer, script_of};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// From this share on of pairs that are left out, and of unknown tokens, it is more than a note.
const LEFT_OUT: f64 = 0.01;
const UNKNOWN: f64 = 0.005;
/// Texts in which what is unknown is counted.
const TEXTS: usize = 20_000;
/// Parts that are shown.
const PARTS: usize = 8;

/// # Errors
/// Where a tokenizer fails.
pub(super) fn check(survey: &Survey, corpus: &Corpus, tokenizers: &Tokenizers) -> Result<Vec<Finding>, Error> {
    let report = corpus.report();
    let mut findings = Vec::new();
    for (remark, message) in report.remarks(&survey.place()) {
        match remark {
            Remark::LeftOut => {
                let share = report.left_out as f64 / report.examples.max(1) as f64;
                let severity = if share >= LEFT_OUT { Severity::Warning } else { Severity::Note };
                let is_empty = |i: &usize| {
                    let pair = &survey.pairs[*i];
                    pair.target.trim().is_empty() || pair.source.as_ref().is_some_and(|source| source.trim().is_empty())
                };
                let empty = (0..survey.pairs.len()).filter(is_empty).map(|i| survey.shown_pair(i));
                let remedy = "Fill in or take out what is empty; cut what is too long, or raise data.max_length, as far as the \
                              model has positions";
                let finding =
                    Finding::new("left-out", severity, message, remedy).share(report.left_out, report.examples);
                findings.push(finding.lines(survey.unit, empty));
            }
            Remark::Unknown => {}
            Remark::Filtered => {
                let remedy = "Look at a few of these lines, whether they are what the filters of [data.filter] are for";
                findings.push(Finding::new("filtered", Severity::Note, message, remedy));
            }
            _ => {
                let remedy = "Look whether it is meant; if not, mend the text";
                findings.push(Finding::new("texts", Severity::Note, message, remedy));
            }
        }
    }
    let sides = [
        ("source", &report.source, tokenizers.source.as_deref().unwrap_or(&tokenizers.target)),
        ("target", &report.target, &*tokenizers.target),
    ];
    for (side, report, tokenizer) in sides.into_iter().filter(|(_, report, _)| report.unknown.count > 0) {
        findings.push(unknown(survey, side, report, tokenizer)?);
    }
    Ok(findings)
}

fn unknown(survey: &Survey, side: &str, report: &SideReport, tokenizer: &Tokenizer) -> Result<Finding, Error> {
    let step = survey.pairs.len().div_ceil(TEXTS).max(1);
    let (mut counts, mut lines): (BTreeMap<String, u64>, _) = (BTreeMap::new(), Vec::new());
    for (at, pair) in survey.pairs.iter().enumerate().step_by(step) {
        let text = if side == "source" { pair.source.as_deref().unwrap_or_default() } else { &pair.target };
        let parts = tokenizer.unknown_parts(text)?;
        if !parts.is_empty() && lines.len() < 3 {
            lines.push(survey.shown(at, side));
        }
        for part in parts {
            match counts.get_mut(part) {
                Some(count) => *count += 1,
                None => _ = counts.insert(part.to_owned(), 1),
            }
        }
    }
    let mut scripts: BTreeMap<_, u64> = BTreeMap::new();
    for (part, count) in &counts {
        if let Some(script) = part.chars().find_map(script_of) {
            *scripts.entry(script).or_default() += count;
        }
    }
    let of: u64 = counts.values().sum();
    let script = scripts
        .into_iter()
        .filter(|(_, count)| 2 * count > of)
        .map(|(script, _)| format!(", mostly in {script:?} script"));
    let script: String = script.collect();
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    let short = |part: &String| part.chars().take(20).collect::<String>();
    let shown: Vec<String> =
        counts.iter().take(PARTS).map(|(part, count)| format!("{:?} ({count})", short(part))).collect();
    let severity = if report.unknown_share() >= UNKNOWN { Severity::Warning } else { Severity::Note };
    let message = format!(
        "{}: {} of the {side} tokens are unknown to the vocabulary{script} ({} of {}, first in {} {}); the commonest: {}",
        survey.place(),
        percent(report.unknown_share()),
        report.unknown.count,
        report.tokens,
        survey.unit,
        report.unknown.first.line,
        shown.join(", ")
    );
    let remedy = "tokenizer.kind = \"byte-bpe\" knows everything; else a larger tokenizer.vocabulary, a lower \
                  tokenizer.minimum_count, or texts of that kind to train on";
    Ok(Finding::new("unknown", severity, message, remedy)
        .share(report.unknown.count, report.tokens)
        .lines(survey.unit, lines))
}
