use crate::{
    EncoderDecoder, Generator, LanguageModel, LayerKind, LossConfig, ModelConfig, ModelKind, TransformerGenerator,
    Vocabulary,
};
use descant_autograd::Parameters;
use descant_nn::Scope;

/// Adds a model's parameters to `parameters`, drawn from `seed`; all zero without one, for those that are read from a file.
///
/// # Errors
/// The recipe's key and what it may be, in words.
pub fn build(
    config: &ModelConfig,
    loss: &LossConfig,
    vocabulary: &Vocabulary,
    parameters: &mut Parameters,
    seed: impl Into<Option<u64>>,
) -> Result<Box<dyn Generator>, String> {
    config.validate(loss, vocabulary)?;
    let mut scope = Scope::new(parameters, seed);
    Ok(match config.kind {
        _ if config.decoder == LayerKind::Transformer => {
            Box::new(TransformerGenerator::new(&mut scope, config, loss, vocabulary))
        }
        ModelKind::LanguageModel => Box::new(LanguageModel::new(&mut scope, config, loss, vocabulary)),
        ModelKind::EncoderDecoder => Box::new(EncoderDecoder::new(&mut scope, config, loss, vocabulary)),
    })
}
