//! What a training learns of its texts.

use super::DataConfig;
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

impl DataConfig {
    /// How much of texts span corruption leaves out, and how long its spans are on average; none of another task.
    pub fn span_corruption(&self) -> Option<[f64; 2]> {
        let spans = [self.corruption_rate.unwrap_or(0.15), self.mean_span.unwrap_or(3.0)];
        (self.task == Task::SpanCorruption).then_some(spans)
    }
}
