//! From files to batches of ids: tokenizers, corpora, and batches of whole sequences.
//!
//! Text is read once, in pieces of bounded size, and its ids are kept in files; batches read from there. Memory does not
//! grow with the corpus.

mod batches;
mod catch_panic;
mod chat;
mod columns;
mod continuous;
mod control;
mod corpus;
mod encode;
mod error;
mod file;
mod input_builder;
mod json;
mod lines;
mod markup;
mod report;
mod sandbox;
mod sandbox_server;
mod source;
mod storage;
mod tokenizer;
mod tokenizer_file;
mod tokenizer_training;
mod zst;

pub use batches::{BatchConfig, Batches, Position};
pub use chat::{ChatTemplate, Message};
pub use control::ControlConfig;
pub use corpus::Corpus;
pub use error::{TextError, remedy};
pub use file::{open_file, read_file, read_text, write_file};
pub use input_builder::InputBuilder;
pub use json::{JsonForm, UniqueKeys};
pub use lines::{LONGEST_LINE, Lines};
pub use markup::Text;
pub use report::{Found, Lengths, Remark, Report, SideReport, plural};
pub use sandbox::sandbox;
pub use sandbox_server::serve_sandbox;
pub use source::{Example, Examples, Form, Side, Source, is_json};
pub use tokenizer::{
    BOS, EOS, NO_PIECE, PostProcessor, SpecialTokens, TokenBytes, Tokenizer, TokenizerConfig, TokenizerKind, UNK,
    UNKNOWN_CHARACTERS,
};
pub use tokenizer_file::LONGEST_TOKEN;
