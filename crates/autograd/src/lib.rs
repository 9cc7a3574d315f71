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
//! Every operation is one file under `ops/`: equation, shape rule, forward, backward, and the rows that check its gradient against
//! central differences. CONTRIBUTING.md shows how to add one.

mod activation;
mod any_op;
mod attention_entropy;
mod attention_weights;
mod broadcast;
mod case;
mod checkpointing;
mod context;
mod derive_seed;
mod dyn_op;
pub mod gradcheck;
mod gradients;
mod graph;
mod guided_alignment;
mod inference_op;
mod input_terms;
mod kv_cache;
mod layer_activations;
mod lora;
mod node;
mod op;
pub mod ops;
mod parameter_storage;
mod parameters;
mod pool;
mod ragged_attention;
mod recording;
mod sequences;
mod storage;
mod tape;
mod var;
#[cfg(test)]
mod walks;
mod weight;

pub use activation::Activation;
pub use any_op::AnyOp;
pub use attention_weights::AttentionWeights;
pub use case::{Case, GradCheck};
pub use context::{Backward, Forward};
pub use derive_seed::derive_seed;
pub use dyn_op::CustomOp;
pub use gradients::{GradientLayout, Gradients};
pub use graph::{Graph, Var};
pub use guided_alignment::Links;
pub use kv_cache::KvCache;
pub use layer_activations::LayerActivations;
pub use op::Op;
pub use ops::cross_entropy::{Targets, Unlikelihood};
pub use ops::distillation::TeacherProjection;
pub use ops::multi_head_attention::{AttentionConfig, AttentionOperand, PositionBias, alibi_slopes};
pub use ops::rotary::{RotaryAngles, RotaryTable};
pub use parameters::{LoraAdapter, ParameterId, Parameters};
pub use pool::Scratch;
pub use sequences::{PackedSequences, Segments};
pub use storage::{StorageType, ValuesMut};
pub use tape::Tape;
