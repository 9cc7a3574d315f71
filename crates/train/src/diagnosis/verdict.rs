//! A verdict on a training.

/// What is wrong with a training.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// Its kind, such as `vanishing gradients`.
    pub kind: &'static str,
    /// The step since which it is so.
    pub since: u64,
    /// What was seen, in words, with its figures.
    pub seen: String,
    /// What to do about it.
    pub remedy: String,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, since, seen, remedy } = self;
        write!(f, "{kind} since step {since}: {seen}. Try {remedy}.")
    }
}

/// A number with two digits that count.
pub(super) fn brief(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        0.01..1000.0 => format!("{value:.2}"),
        _ => format!("{value:.1e}"),
    }
}
