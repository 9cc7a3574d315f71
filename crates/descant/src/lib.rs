//! Text generators on their own backpropagation engine: the library's face.
//!
//! - To train and run a generator as a recipe describes it: [`train::Trainer`] and [`inference::Trained`].
//! - To write a model and a training loop of one's own: [`nn`], [`autograd`], [`optim`].
//! - To bring models in from elsewhere, and to take them there: [`interop`].
//!
//! `examples/` has one of each of the first two.

pub use descant_autograd as autograd;
pub use descant_batch as batch;
pub use descant_generate as generate;
pub use descant_hyperparameters as hyperparameters;
pub use descant_inference as inference;
pub use descant_interop as interop;
pub use descant_kernels as kernels;
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
    pub use crate::hyperparameters::optimizers::{Adadelta, Adagrad, Adam, Adamw, Rmsprop, Sgd};
    pub use crate::hyperparameters::{Clipping, ClippingConfig, OptimizerConfig, ScheduleConfig};
    pub use crate::inference::{Recipe, Trained};
    pub use crate::kernels::Parallelism;
    pub use crate::nn::{
        Attention, AttentionScore, Cell, Embedding, Linear, Recurrent, RecurrentConfig, Scope, Transformer,
        TransformerConfig,
    };
    pub use crate::optim::{Optimizer, Schedule};
    pub use crate::tensor::{DType, Tensor};
    pub use crate::train::{Outcome, Trainer};
}
