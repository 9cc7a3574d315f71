//! The architectures, each behind the [`Generator`] trait, and what they have in common.

mod config;
mod encoder;
mod encoder_decoder;
mod generator;
mod language_model;
mod output;
mod state;
mod transformer;

pub use config::{Bridge, Kind, Layers, LossConfig, Measure, ModelConfig, Tie, Vocabulary};
pub use encoder_decoder::EncoderDecoder;
pub use generator::{Generator, build};
pub use language_model::LanguageModel;
pub use output::Output;
pub use state::{Memory, State};
pub use transformer::TransformerGenerator;
