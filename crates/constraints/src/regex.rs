//! What is known of a regular expression before `llguidance` reads it.

use regex_syntax::hir::{Class, Hir, HirKind, Literal};
use std::collections::BTreeSet;

/// The most characters of a class that are named.
const MOST_NAMED: usize = 12;

/// The characters that a regular expression names, by themselves or as some of few.
pub(crate) fn literals(regex: &str) -> BTreeSet<char> {
    let mut found = BTreeSet::new();
    // Who reads it for its texts says what is wrong with it.
    let mut open: Vec<Hir> = regex_syntax::parse(regex).into_iter().collect();
    while let Some(next) = open.pop() {
        match next.into_kind() {
            HirKind::Literal(Literal(bytes)) => found.extend(String::from_utf8_lossy(&bytes).chars()),
            HirKind::Repetition(repetition) => open.push(*repetition.sub),
            HirKind::Capture(capture) => open.push(*capture.sub),
            HirKind::Concat(parts) | HirKind::Alternation(parts) => open.extend(parts),
            HirKind::Class(Class::Unicode(class)) => {
                let all = class.iter().flat_map(|range| range.start()..=range.end());
                let few: Vec<char> = all.take(MOST_NAMED + 1).collect();
                found.extend(few.iter().filter(|_| few.len() <= MOST_NAMED));
            }
            HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) => {}
        }
    }
    found
}
