//! Layers: parameters under PyTorch's names, and the operations on them.

mod attention;
mod init;
mod layers;
mod recurrent;
mod scope;

pub use attention::{Attention, Score};
pub use init::Init;
pub use layers::{Embedding, LayerNorm, Linear};
pub use recurrent::{Cell, Input, Recurrent, RecurrentConfig, State};
pub use scope::Scope;
