//! Constraints: what generated texts have to be, for every search and every kind of tokenizer.
//!
//! A [`Grammar`] is a JSON schema, a regular expression, or a grammar in the syntax of Lark or GBNF. [`Phrases`] are words and phrases
//! that a text has to contain, or must not contain; [`Terminology`] requires those that belong to the words of a source. A [`Prefix`] is
//! what a text has to start with. All are a [`Constraint`](descant_generate::Constraint), of which a program may have its own, and go into
//! [`DecodingOptions::constraints`](descant_generate::DecodingOptions::constraints).

mod error;
mod forbidden_phrases;
mod gbnf;
mod grammar;
mod json_schema;
mod lark;
mod phrases;
mod prefix;
mod prompt;
mod regex;
mod terminology;
mod vocabulary;
mod words;

pub use error::ConstraintError;
pub use grammar::Grammar;
pub use phrases::Phrases;
pub use prefix::Prefix;
pub use terminology::Terminology;
pub use vocabulary::Vocabulary;
