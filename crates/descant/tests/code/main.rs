//! What ARCHITECTURE.md and CONTRIBUTING.md promise of the code: its structure and its words.

mod sources;
mod structure;
mod words;
