//! What the doctor finds.

use descant_text::plural;
use serde::Serialize;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing; it may be meant.
    Note,
    /// It probably harms the training, or what is measured of it.
    Warning,
    /// Training does not begin, or learns from what is wrong.
    Error,
}

/// Something that was found, with what it rests on and what to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The name of the check.
    pub check: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, and where.
    pub message: String,
    /// How many lines it is of how many that were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// The first of these lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<ShownLine>,
    /// What to do.
    pub remedy: String,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Share {
    /// How many.
    pub found: u64,
    /// Of how many.
    pub of: u64,
}

/// A line of a text, or a row of Parquet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShownLine {
    /// Its number, from 1.
    pub line: u64,
    /// `line` or `row`.
    #[serde(skip)]
    pub unit: &'static str,
    /// How it begins.
    pub text: String,
}

/// Lines that a finding shows.
const SHOWN: usize = 3;
/// Characters of each.
const CHARACTERS: usize = 90;

impl Finding {
    pub(super) fn new(
        check: &'static str,
        severity: Severity,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (message, remedy) = (message.into(), remedy.into());
        Self { check, severity, message, share: None, lines: Vec::new(), remedy }
    }

    pub(super) fn share(self, found: u64, of: u64) -> Self {
        Self { share: Some(Share { found, of }), ..self }
    }

    /// The same with the first of these lines, or of what the unit is.
    pub(super) fn lines(mut self, unit: &'static str, lines: impl IntoIterator<Item = (u64, String)>) -> Self {
        let shown = lines.into_iter().take(SHOWN).map(|(line, text)| ShownLine { line, unit, text: cut(&text) });
        self.lines = shown.collect();
        self
    }
}

/// How a text begins, in one line.
fn cut(text: &str) -> String {
    let line: String = text.chars().take(CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(CHARACTERS).is_some() { line + "…" } else { line }
}

/// `12 of 400 pairs (3.0 %)`.
pub(super) fn share_of(found: u64, of: u64, thing: &str) -> String {
    format!("{found} of {} ({})", plural(of, thing), percent(found as f64 / of.max(1) as f64))
}

/// A share as people read it: small ones are not zero.
pub(super) fn percent(share: f64) -> String {
    match 100.0 * share {
        percent if percent == 0.0 || percent >= 10.0 => format!("{percent:.0} %"),
        percent if percent >= 0.1 => format!("{percent:.1} %"),
        percent if percent >= 0.01 => format!("{percent:.2} %"),
        _ => "less than 0.01 %".to_owned(),
    }
}
