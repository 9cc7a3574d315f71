//! Decoding: greedy, beam search and sampling, written once for every [`Generator`](descant_models::Generator).
//!
//! All three are one loop, [`generate()`]: a step of the model for all hypotheses of all rows, candidates for the next
//! token by the [`Strategy`], and a selection of the rows of the [`DecoderState`](descant_models::DecoderState) that go
//! on. Finished rows leave the batch. But for rounding, the text of a row does not depend on the others.
//!
//! A language model never reads more than [`DecodingOptions::context`] tokens: a sliding context window.

mod beam_search;
mod context_window;
mod generate;
mod options;
mod token_selection;
mod top_k;

pub use beam_search::Hypothesis;
pub use generate::{DecodingBatch, generate, stream};
pub use options::{DecodingOptions, Ranking, Strategy};
