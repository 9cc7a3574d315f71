//! The architectures, each behind the [`Generator`] trait, and what they have in common.

mod build;
mod config;
mod decoder_state;
mod encoder;
mod encoder_decoder;
mod generator;
mod hidden_states;
mod language_model;
mod loss;
mod output_layer;
mod transformer;

pub use build::build;
pub use config::{Bridge, LayerKind, ModelConfig, ModelKind, Tie, Vocabulary};
pub use decoder_state::{DecoderState, EncoderOutput};
pub use encoder_decoder::EncoderDecoder;
pub use generator::Generator;
pub use hidden_states::HiddenStates;
pub use language_model::LanguageModel;
pub use loss::{CandidateSearch, DpoConfig, EmbeddingLoss, LossConfig, MinimumRiskConfig};
pub use output_layer::{OutputLayer, OutputRows};
pub use transformer::TransformerGenerator;
