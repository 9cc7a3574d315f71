//! What a training learns of its texts.

use serde::{Deserialize, Serialize};

/// What is learned of the texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// The targets as they are.
    #[default]
    Plain,
    /// Spans that were left out, from texts alone.
    SpanCorruption,
}

impl Task {
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
}
