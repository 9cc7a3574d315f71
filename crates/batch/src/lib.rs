//! Batches of token ids: what models train on and decode, whatever made the ids.
//!
//! The crate knows no tokenizer and no file, so that models depend on neither.

mod batch;
mod sequences;

pub use batch::{Batch, Rejected};
pub use sequences::Sequences;
