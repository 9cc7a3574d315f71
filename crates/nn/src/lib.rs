//! Layers: parameters under PyTorch's names, and the operations on them.

mod attention;
mod init;
mod layers;
mod norm;
mod recurrent;
mod row_dropout;
mod scope;
mod transformer;

pub use attention::{Attention, AttentionScore};
pub use init::Init;
pub use layers::{Embedding, Linear};
pub use norm::{Norm, NormKind};
pub use recurrent::{Cell, LayerDropout, Recurrent, RecurrentConfig, RecurrentInit, RecurrentInput, RecurrentState};
pub use row_dropout::{DropoutConfig, RowDropout};
pub use scope::Scope;
pub use transformer::{
    CrossAttentionKv, Position, QkNorm, RotaryScaling, Transformer, TransformerConfig, TransformerSizes, sinusoids,
};
