//! Decoding: greedy, beam search, sampling and contrastive search, written once for every [`Generator`](descant_models::Generator).
//!
//! All of them are one loop, [`Decoder::step`]: a step of the model for all hypotheses of all rows, candidates for the next
//! token by the [`Mode`] of a [`GenerationConfig`], and a selection of the rows of the [`DecoderState`](descant_models::DecoderState) that go
//! on. Finished rows leave the batch, and others may enter. The text of a row does not depend on the others, bit by bit.
//!
//! A language model never reads more than [`GenerationConfig::context`] tokens: a sliding context window.

mod alternatives;
mod bank_allocation;
mod beam_search;
mod begun;
mod candidates;
mod constraint;
mod context_window;
mod contrastive_search;
mod coverage;
mod decoder;
mod decoding_options;
mod distribution;
mod draft_model;
mod drafter;
mod generate;
mod guidance;
mod hypothesis;
mod logit_statistics;
mod logits_processor;
mod members;
mod mirostat;
mod options;
mod prefill;
mod processors;
mod prompt_lookup;
mod row_error;
mod sampling;
mod scorer;
mod scores;
mod scratch;
mod search;
mod short_list;
mod steerer;
mod steering;
mod turn;

pub use begun::Begun;
pub use constraint::{CloneState, ConstrainedRow, Constraint, ConstraintState};
pub use context_window::Stretch;
pub use decoder::{Decoder, DecodingBatch};
pub use decoding_options::{DecodingOptions, DefaultLimit, Reranker, StopCondition};
pub use draft_model::DraftModel;
pub use generate::{generate, stream};
pub use hypothesis::{FinishReason, Hypothesis};
pub use logits_processor::{Context, LogitsProcessor};
pub use options::{
    DecodingOption, EarlyStopping, ForcedEos, GenerationConfig, Group, MbrMetric, Mode, OPTIONS, Range, Ranking,
    TokenIds, ValueType, find_option, is_neutral,
};
pub use prefill::MAX_PASS_TOKENS;
pub use row_error::{RowError, RowResult};
pub use short_list::ShortList;
pub use steering::{AttributeClassifier, Steering};
