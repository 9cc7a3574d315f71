//! A model from elsewhere, as its readers give it.

use crate::Family;
use crate::weights::Weights;
use descant_inference::{Recipe, Tokenizers};
use descant_text::ChatTemplate;

/// How the files of a model are laid out, and so which of its tensors are which parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A folder of `transformers`.
    Transformers(Family),
    /// A folder of tensors under the names of PyTorch's layers, as recurrent models are written.
    PyTorch,
    /// A file of llama.cpp.
    Gguf(Family),
    /// A folder of CTranslate2.
    CTranslate2,
}

/// A model from elsewhere that has been read but for its weights, which still lie in their files.
#[derive(Debug)]
pub struct Foreign {
    /// How its files are laid out.
    pub layout: Layout,
    /// Its model and its special tokens.
    pub recipe: Recipe,
    /// Its tokenizers.
    pub tokenizers: Tokenizers,
    /// Its template of conversations.
    pub chat: Option<ChatTemplate>,
    /// Notes for the user.
    pub notes: Vec<String>,
    pub(crate) weights: Weights,
}
