//! Training: recipes, replicas, checkpoints, metrics, evaluation; and trained models, to write with.

mod checkpoint;
mod data;
mod distill;
mod error;
mod evaluate;
mod finetune;
mod metrics;
mod origins;
mod recipe;
mod replicas;
mod resume;
mod run;
mod score;
mod start;
mod tensors;
mod tokenizers;
mod trained;
mod trainer;

pub use data::{Texts, batches, first_batch};
pub use distill::{DistillConfig, Lesson, Teacher};
pub use error::{Error, quoted};
pub use evaluate::{Evaluation, Evaluator};
pub use finetune::{FinetuneConfig, LoraConfig};
pub use metrics::Metric;
pub use origins::Origins;
pub use recipe::{BenchConfig, DataConfig, Files, Recipe, TrainConfig, TrainPrecision};
pub use replicas::{Passed, Replicas};
pub use run::RunFolder;
pub use score::{Answer, Score};
pub use tensors::{TensorFile, write_tensors};
pub use tokenizers::Tokenizers;
pub use trained::{Trained, Written, blank_model, model};
pub use trainer::{Event, Outcome, Step, Trainer};
