//! Models that move in and out: folders in the layout of Hugging Face `transformers`, of the families of [`Family`].
//!
//! Language models also as files for llama.cpp, in `gguf`; recurrent models for PyTorch, in `recurrent`; adapters of PEFT, in
//! `peft`; embeddings alone, in `word_vectors`.
//!
//! With the feature `hub`, folders are also fetched by name from the Hugging Face Hub.
//!
//! A family is data, in `family`: what its `config.json` means as a [`descant_models::ModelConfig`] and the other way round,
//! and which of its tensors is which part of which parameter, a table that is read in either direction.

mod config_keys;
mod ctranslate2;
mod error;
mod export;
mod family;
mod folder;
mod foreign;
mod generation_config;
mod gguf;
#[cfg(feature = "hub")]
mod hub;
mod import;
mod nearest_family;
mod peft;
mod recurrent;
mod redundant;
mod template;
mod tensor_names;
mod tensors;
#[cfg(test)]
mod tests;
mod tokenizer;
mod transformers;
mod weights;
mod word_vectors;
mod write_folder;

pub use error::Error;
pub use export::export;
pub use family::Family;
pub use folder::is_adapter;
pub use foreign::{Foreign, Layout};
pub use gguf::{GgufType, export_gguf};
#[cfg(feature = "hub")]
pub use hub::HubName;
pub use import::import;
pub use peft::{base_of, export_adapter, import_adapted};
pub use recurrent::export_recurrent;
pub use tokenizer::tokenizer;
pub use word_vectors::export_word_vectors;
