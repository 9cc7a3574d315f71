//! Decoding: greedy, beam search and sampling, written once for every [`Generator`](descant_models::Generator).
//!
//! All three are one loop, [`generate()`]: a step of the model for every row of every source, candidates for the next
//! token by the [`Strategy`], and a selection of the rows of the [`State`](descant_models::State) that go on. Sources
//! that have ended leave the batch. But for rounding, what is written for one does not depend on the others.
//!
//! A language model is never asked for more context than [`Options::context`]: a window slides over what it reads.

mod choose;
mod generate;
mod options;
mod search;
mod top;
mod window;

pub use generate::{Input, generate, stream};
pub use options::{Options, Ranking, Strategy};
pub use search::Hypothesis;
