//! Decoding: greedy, beam search, sampling and contrastive search, written once for every [`Generator`](descant_models::Generator).
//!
//! All of them are one loop, [`generate()`]: a step of the model for all hypotheses of all rows, candidates for the next
//! token by the [`Mode`] of a [`GenerationConfig`], and a selection of the rows of the [`DecoderState`](descant_models::DecoderState) that go
//! on. Finished rows leave the batch. But for rounding, the text of a row does not depend on the others.
//!
//! A language model never reads more than [`GenerationConfig::context`] tokens: a sliding context window.

mod beam_search;
mod candidates;
mod context_window;
mod contrastive_search;
mod decoding_options;
mod distribution;
mod generate;
mod hypothesis;
mod logits_processor;
mod mirostat;
mod options;
mod processors;
mod sampling;
mod scorer;
mod search;

pub use decoding_options::{DecodingOptions, StopCondition};
pub use generate::{DecodingBatch, generate, stream};
pub use hypothesis::Hypothesis;
pub use logits_processor::{Context, LogitsProcessor};
pub use options::{
    DecodingOption, EarlyStopping, ForcedEos, GenerationConfig, Group, Mode, OPTIONS, Range, Ranking, TokenIds,
    ValueType, find_option, is_neutral,
};
