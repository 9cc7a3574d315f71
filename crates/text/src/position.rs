//! Where the next batch is: part of a checkpoint.

use serde::{Deserialize, Serialize};

/// The next batch of [`crate::Batches`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Times through the text.
    pub epoch: u64,
    /// The window of that epoch.
    pub window: u64,
    /// The batch of that window.
    pub batch: u64,
    /// Batches before it that wait, or of which a part was taken: those of a warm-up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
    /// By which the corpus is known, where it lies in files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corpus: Option<u32>,
}

impl Position {
    /// Whether it is where an epoch begins.
    pub fn is_start(&self) -> bool {
        self.window == 0 && self.batch == 0 && self.waiting.is_empty()
    }
}

/// A batch that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its window.
    pub window: u64,
    /// Its number there.
    pub batch: u64,
    /// How many of its sequences were taken; of streams, how many tokens of each.
    pub taken: u64,
    /// The first step that it may come to.
    pub due: u64,
}
