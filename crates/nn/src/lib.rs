//! Layers: parameters under PyTorch's names, and the operations on them.

mod attention;
mod cell;
mod init;
mod layers;
mod norm;
mod normalised_cell;
mod recurrent;
mod row_dropout;
mod scope;
mod transformer;

pub use attention::{Attention, AttentionScore};
pub use cell::{Cell, RecurrentState};
pub use init::Init;
pub use layers::{Embedding, Linear};
pub use norm::{Norm, NormKind};
pub use recurrent::{LayerDropout, Recurrent, RecurrentConfig, RecurrentInit, RecurrentInput};
pub use row_dropout::{DropoutConfig, RowDropout};
pub use scope::Scope;
pub use transformer::{
    CrossAttentionKv, Position, QkNorm, RotaryScaling, Transformer, TransformerConfig, TransformerSizes, sinusoids,
};
