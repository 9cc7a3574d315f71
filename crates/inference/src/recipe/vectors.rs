use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Pre-trained word vectors that embeddings begin with, from files in the text form of word2vec, fastText and GloVe: the `[vectors]`
/// table of a recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VectorsConfig {
    /// Of the embedding of sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// Of the embedding of targets, or of a language model; of continuous outputs of what is predicted too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<PathBuf>,
}
