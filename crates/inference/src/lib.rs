//! Trained models: loading a run, and generating with it. [`Trained`] is the entry point.
//!
//! A run folder holds a [`Recipe`], [`Tokenizers`] and [`checkpoint`]s; reading and writing them is here, as inference needs
//! them. Nothing here trains: no optimizer, no replicas, no training of tokenizers.

mod alignment;
mod average;
mod build_model;
mod chat_template;
pub mod checkpoint;
mod classifier;
mod continuation;
mod control;
mod draft_model;
mod error;
mod explanation;
mod finetune;
mod generated;
mod inference;
mod locate;
mod long_input;
mod memory;
mod minimum_bayes_risk;
mod progress;
mod provenance;
mod recipe;
mod request;
mod run_folder;
mod saliency;
mod scheduler;
mod score;
mod short_list;
mod stop_strings;
mod tensors;
mod text_iterator;
mod text_stream;
mod tokenizers;
mod trained;
mod training_lengths;
mod weight_tensors;
mod weight_types;

pub use alignment::Alignment;
pub use build_model::{add_model, blank_model, model};
pub use chat_template::chat_template;
pub use control::Control;
pub use error::{Error, quoted};
pub use explanation::{Explanation, TokenExplanation};
pub use finetune::{FinetuneConfig, LoraConfig};
pub use generated::Generated;
pub use inference::ResponseEnd;
pub use locate::{find_runs, is_foreign, is_gguf, is_run, locate, runs_in};
pub use long_input::{LongInput, SourceLimit};
pub use memory::{Estimate, available, count, size};
pub use progress::{MetricsAccumulator, Progress, Validated};
pub use provenance::Provenance;
pub use recipe::{
    BenchConfig, DataConfig, DistillConfig, Files, NonFinite, Recipe, RecipeSource, Task, TrainConfig, TrainPrecision,
    VectorsConfig, difference, is_pattern, is_there, keys, schema,
};
pub use request::{Answer, Request};
pub use run_folder::{RunFolder, layout};
pub use saliency::{Explainer, Saliency, SaliencyMethod};
pub use scheduler::Scheduler;
pub use score::{Scored, TokenScore, TokenScores};
pub use tensors::{TensorFile, write_tensors};
pub use text_iterator::{Piece, TextIterator};
pub use text_stream::TextStream;
pub use tokenizers::Tokenizers;
pub use trained::{RunInfo, Trained};
pub use training_lengths::TrainingLengths;
pub use weight_types::{storage_of, weights_of};
