//! Text generators, trained and run on their own backpropagation engine, on the CPU: LSTM, GRU and Transformer, encoder-decoders and
//! language models.
//!
//! ```no_run
//! use descant::prelude::*;
//! use std::sync::atomic::AtomicBool;
//!
//! // From a recipe to a run folder, on 2 threads.
//! let recipe = Recipe::load("pairs.toml".as_ref(), &[])?;
//! let mut trainer = Trainer::new(recipe, "runs/pairs".as_ref(), 2, false)?;
//! trainer.run(&AtomicBool::new(false), |event| println!("{event:?}"))?;
//!
//! // From the run folder to text.
//! let trained = Trained::load("runs/pairs".as_ref())?;
//! println!("{}", trained.generate("a new source")?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to begin
//!
//! Each example is a file in `examples/`, and runs with `cargo run --release -p descant --example NAME`.
//!
//! | to | use | example |
//! |---|---|---|
//! | load a model and generate | [`inference::Trained`] | `load_and_generate` |
//! | show text while it is generated | [`inference::Trained::stream`] | `stream_text` |
//! | take a text piece by piece, and stop early | [`inference::Trained::pieces`] | `iterate_text` |
//! | score given texts, explain generated ones | [`inference::Trained::score`], [`inference::Explainer`] | |
//! | train from a recipe | [`train::Trainer`], [`inference::Recipe`] | `train_from_recipe` |
//! | train a model of one's own, with data, loss and loop of one's own | [`nn`], [`autograd`], [`optim`] | `train_own_model` |
//! | add an operation, and check a gradient | [`autograd::Op`], [`autograd::gradcheck`] | `check_gradient` |
//! | bring a model in from elsewhere, and take one out | [`interop::import()`], [`interop::export()`] | `import_model` |
//! | evaluate a model | [`train::Evaluator`] | |
//! | find a learning rate, vary a recipe | [`train::range_test`], [`train::Sweep`] | |
//! | average checkpoints, list runs | [`inference::Trained::average`], [`train::RunSummary`] | |
//!
//! # Map
//!
//! Each module is a crate, which depends only on those above it. A program that only generates needs `descant-inference` alone, which
//! links no trainer.
//!
//! | module | what it holds |
//! |---|---|
//! | [`tensor`] | shapes, element types, buffers, the error type of the numeric layers |
//! | [`kernels`] | CPU kernels: GEMM, softmax, vector maths |
//! | [`autograd`] | tape, graph, operations, gradient check |
//! | [`nn`] | layers, with parameters under PyTorch's names |
//! | [`hyperparameters`] | optimizers, learning-rate schedules, gradient clipping: hyperparameters and formulas |
//! | [`optim`] | optimizers and schedules with their state, weight averages |
//! | [`batch`] | ragged batches of token ids |
//! | [`text`] | tokenizers, reading of texts, batches, chat templates |
//! | [`models`] | the architectures, behind the [`Generator`](models::Generator) trait |
//! | [`generate`] | greedy decoding, beam search, sampling |
//! | [`constraints`] | what generated texts have to be: grammars, required and forbidden phrases, prefixes |
//! | [`inference`] | recipes, run folders, checkpoints, trained models |
//! | [`interop`] | import and export: `transformers`, GGUF, PEFT, PyTorch, CTranslate2 |
//! | [`train`] | the training loop, evaluation, metrics, distillation |
//!
//! # Errors
//!
//! Each layer has one error type, to be matched: [`tensor::Error`] (shapes, operations), [`text::TextError`] (texts, tokenizers),
//! [`inference::Error`] (recipes, run folders, checkpoints), [`interop::Error`] and [`train::Error`]. Those of the higher layers hold the
//! lower ones.

pub use descant_autograd as autograd;
pub use descant_batch as batch;
pub use descant_constraints as constraints;
pub use descant_generate as generate;
pub use descant_hyperparameters as hyperparameters;
pub use descant_inference as inference;
pub use descant_interop as interop;
pub use descant_kernels as kernels;
pub use descant_metrics as metrics;
pub use descant_models as models;
pub use descant_nn as nn;
pub use descant_optim as optim;
pub use descant_tensor as tensor;
pub use descant_text as text;
pub use descant_train as train;

/// What most programs need.
pub mod prelude {
    pub use crate::autograd::{Activation, Gradients, Graph, PackedSequences, Parameters, Tape, Targets, Var};
    pub use crate::batch::{Batch, Sequences};
    pub use crate::generate::GenerationConfig;
    pub use crate::hyperparameters::optimizers::{
        Adadelta, Adafactor, Adagrad, Adam, Adamw, AdamwScheduleFree, Lamb, Lbfgs, Lion, Muon, Nadam, Radam, Rmsprop,
        Sgd,
    };
    pub use crate::hyperparameters::{Clipping, ClippingConfig, OptimizerConfig, ScheduleConfig};
    pub use crate::inference::{Recipe, Trained};
    pub use crate::kernels::Parallelism;
    pub use crate::nn::{
        Attention, AttentionScore, Cell, DropoutConfig, Embedding, Linear, Recurrent, RecurrentConfig, Scope,
        Transformer, TransformerConfig,
    };
    pub use crate::optim::{Optimizer, Schedule};
    pub use crate::tensor::{DType, Tensor};
    pub use crate::train::{Outcome, Trainer};
}
