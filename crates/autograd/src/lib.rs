//! Reverse-mode differentiation by the chain rule.
//!
//! A [`Tape`] records one forward pass as a list of nodes. Creation order is a topological order, so backward is one
//! loop from the end. A [`Var`] is the handle of one value; it is `Copy`, and model code reads like mathematics:
//!
//! ```
//! use descant_autograd::{Parameters, Tape};
//! use descant_tensor::{DType, Tensor};
//!
//! let mut parameters = Parameters::new(DType::F64);
//! let w = parameters.add_with("w", [2, 2], &[1.0, 2.0, 3.0, 4.0]);
//! let mut gradients = parameters.gradients();
//! let mut tape = Tape::new();
//!
//! let graph = tape.train(&parameters, 0);
//! let x = graph.constant(&Tensor::new([1, 2], &[1.0, -1.0])?);
//! let loss = x.matmul(graph.parameter(w)).tanh().sum();
//! graph.backward(loss, &mut gradients)?;
//! # Ok::<(), descant_tensor::Error>(())
//! ```
//!
//! Every operation is one file under `ops/`: equation, shape rule, forward, backward and the rows that check its gradient
//! against central differences. ARCHITECTURE.md tells how to add one.

mod activation;
mod adapter;
mod broadcast;
pub mod gradcheck;
mod gradients;
mod graph;
mod layout;
mod op;
pub mod ops;
mod parameters;
mod pool;
mod ragged;

pub use activation::Activation;
pub use adapter::LoraAdapter;
pub use gradients::{GradientLayout, Gradients};
pub use graph::{Graph, Tape, Var, derive_seed};
pub use layout::{PackedSequences, Segments};
pub use op::{AnyOp, Backward, Case, CustomOp, Forward, Op};
pub use ops::multi_head_attention::{AttentionConfig, AttentionOperand, PositionBias, alibi_slopes};
pub use ops::{cross_entropy::Targets, distillation::TeacherProjection, rotary::RotaryAngles};
pub use parameters::{ParameterId, Parameters};
pub use pool::Scratch;
