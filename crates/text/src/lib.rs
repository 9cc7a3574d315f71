//! From files to batches of ids: tokenizers, corpora, and batches of whole sequences.
//!
//! Text is read once, in pieces of bounded size, and its ids are kept in files; batches read from there. Memory does not
//! grow with the corpus.

mod annotations;
mod batch_config;
mod batches;
mod bpe_dropout;
mod catch_panic;
mod chat;
mod columns;
mod continuous;
mod control;
mod corpus;
mod csv;
mod draw;
mod encode;
mod epoch_order;
mod error;
mod examples;
mod file;
mod file_form;
mod filter;
mod found;
mod hash;
mod input_builder;
mod json;
mod lines;
mod list_writer;
mod markup;
mod max_length;
mod mixture;
mod noise;
mod object_keys;
mod parquet;
mod permutation;
mod position;
mod ramp;
mod records;
mod report;
mod sandbox;
mod sandbox_server;
mod script;
mod source;
mod span_corruption;
mod storage;
mod subword_regularization;
mod table;
mod token_links;
mod tokenizer;
mod tokenizer_file;
mod tokenizer_training;
mod unigram_sampling;
mod word_vectors;
mod zst;

pub use annotations::{Annotations, Column};
pub use batch_config::{BatchConfig, Shuffle};
pub use batches::Batches;
pub use chat::{ChatTemplate, Message};
pub use columns::Columns;
pub use control::ControlConfig;
pub use corpus::Corpus;
pub use error::{TextError, remedy};
pub use examples::{Example, Examples};
pub use file::{open_file, read_file, read_text, write_file};
pub use file_form::{has_fields, is_csv, is_json, is_parquet, is_tsv};
pub use filter::{Filter, FilterConfig, Filtered, LengthRatio, is_copy, median};
pub use found::{Found, Place};
pub use hash::{example_hash, hash};
pub use input_builder::InputBuilder;
pub use json::{JsonForm, UniqueKeys};
pub use lines::{LONGEST_LINE, Lines};
pub use markup::Text;
pub use max_length::{MaxLength, Piece};
pub use mixture::Mixture;
pub use noise::{KeyboardLayout, Noise, NoiseConfig, NoiseReach};
pub use object_keys::KEYS;
pub use position::{Position, Waiting};
pub use ramp::Ramp;
pub use report::{Lengths, Remark, Report, SideReport, plural};
pub use sandbox::sandbox;
pub use sandbox_server::serve_sandbox;
pub use script::{Script, main_script, script_of};
pub use source::{Form, Side, Source};
pub use span_corruption::SpanCorruption;
pub use subword_regularization::SubwordRegularization;
pub use tokenizer::{
    BOS, EOS, NO_PIECE, PostProcessor, SpecialTokens, TokenBytes, Tokenizer, TokenizerConfig, TokenizerKind, UNK,
    UNKNOWN_CHARACTERS,
};
pub use tokenizer_file::LONGEST_TOKEN;
pub use word_vectors::WordVectors;
