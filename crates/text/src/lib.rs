//! Tokenizers, corpora and batches.

mod sequences;

pub use sequences::{Batch, Sequences};
