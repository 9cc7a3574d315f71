use descant_autograd::Parameters;
use descant_models::Generator;

/// A smaller Transformer of the same vocabularies, which guesses the next tokens.
#[derive(Debug)]
pub struct DraftModel {
    /// The architecture.
    pub model: Box<dyn Generator>,
    /// The weights, in elements of the same type as those of the model that it guesses for.
    pub parameters: Parameters,
}
