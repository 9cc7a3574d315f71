use descant_autograd::Parameters;
use descant_models::{Generator, ModelConfig};

/// A smaller Transformer of the same vocabularies, which guesses the next tokens.
#[derive(Debug)]
pub struct DraftModel {
    /// What it is, for estimates of what it takes.
    pub config: ModelConfig,
    /// The architecture.
    pub model: Box<dyn Generator>,
    /// The weights, in elements of the same type as those of the model that it guesses for.
    pub parameters: Parameters,
}
