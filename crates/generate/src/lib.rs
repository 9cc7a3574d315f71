//! Decoding: greedy, beam search and sampling, written once for every [`Generator`](descant_models::Generator).
//!
//! All three are one loop, [`generate()`]: a step of the model for every row of every source, candidates for the next
//! token by the [`Strategy`], and a selection of the rows of the [`DecoderState`](descant_models::DecoderState) that go on. Sources
//! that have ended leave the batch. But for rounding, what is written for one does not depend on the others.
//!
//! A language model is never asked for more context than [`DecodingOptions::context`]: a window slides over what it reads.

mod beam_search;
mod context_window;
mod generate;
mod options;
mod token_selection;
mod top_k;

pub use beam_search::Hypothesis;
pub use generate::{DecodingBatch, generate, stream};
pub use options::{DecodingOptions, Ranking, Strategy};
