//! Training: the training loop, replicas, evaluation, metrics, distillation. [`Trainer`] is the entry point. Recipes, run
//! folders and trained models are in `descant-inference`.

mod annotated;
mod best_metric;
mod carried_state;
mod checkpoint_choice;
mod classifier;
mod data;
mod diagnosis;
mod distillation;
mod doctor;
mod error;
mod evaluate;
mod faults;
mod gradient_flow;
mod metrics_file;
mod minimum_risk;
mod objective;
mod objective_loss;
mod outcome;
mod predict;
mod preference;
mod preflight;
mod prepare;
mod random_batch;
mod range_test;
mod replicas;
mod resume;
mod retention;
mod run_summary;
mod scheduled_sampling;
mod short_list;
mod source_models;
mod start;
mod subwords;
mod sweep;
mod temporary;
mod text_layout;
mod text_metrics;
mod text_size;
mod tokenizer_checks;
mod tokenizer_training;
mod trainer;
mod validation;
mod word_vectors;

pub use carried_state::CarriedState;
pub use checkpoint_choice::{CheckpointChoice, choose_checkpoints};
pub use classifier::{HeldOut, LabelledText, LearntClassifier, learn_classifier};
pub use data::{Texts, batches, first_batch};
pub use diagnosis::{Diagnosis, Verdict};
pub use distillation::{Teacher, TeacherOutput};
pub use doctor::{
    Distribution, Examination, Finding, LengthFacts, Memorization, Severity, Share, ShownLine, TextFacts,
    TrainingFacts, examine,
};
pub use error::Error;
pub use evaluate::{Evaluation, Evaluator};
pub use gradient_flow::{Activations, GradientFlow, ParameterFlow};
pub use metrics_file::{MetricsRecord, Step};
pub use minimum_risk::{Candidates, MinimumRisk};
pub use objective::{Objective, Prepared};
pub use objective_loss::{Measures, ObjectiveLoss};
pub use outcome::Outcome;
pub use preference::{Reference, ReferenceOutput};
pub use random_batch::random_batch;
pub use range_test::{RangeEnd, RangePoint, RangeTest, RangeTestConfig, range_test};
pub use replicas::{Replicas, StepLoss};
pub use resume::resumed_recipe;
pub use run_summary::{RunState, RunSummary};
pub use short_list::{LearntShortList, ShortListConfig, learn_short_list};
pub use source_models::SourceModels;
pub use sweep::{Sweep, SweepConfig, SweepEvent, SweepRun, Variation};
pub use text_layout::resolve_text_layout;
pub use text_metrics::{MetricCommand, Prediction, TextScore, TextScores, shown_value};
pub use text_size::TextSize;
pub use tokenizer_training::train_tokenizers;
pub use trainer::{Event, Trainer};
