use descant_constraints::Grammar;
use serde_json::value::RawValue;
use std::sync::Arc;

/// A line of the input.
#[derive(Default)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    pub(super) id: Option<Box<RawValue>>,
    /// As it was read.
    pub(super) source: String,
    /// The tokens that were read for it.
    pub(super) read: Vec<u32>,
    /// Whether it is a conversation whose oldest turns are not read.
    pub(super) is_shortened: bool,
    /// What its texts have to be.
    pub(super) grammar: Option<Arc<Grammar>>,
}
