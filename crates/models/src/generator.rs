use crate::{
    DecoderState, EncoderDecoder, LanguageModel, LayerKind, LossConfig, ModelConfig, ModelKind, OutputLayer,
    TransformerGenerator, Vocabulary,
};
use descant_autograd::{Graph, Parameters, Segments, Var};
use descant_batch::{Batch, Sequences};
use descant_nn::Scope;
use descant_tensor::Result;
use std::fmt;
use std::sync::Arc;

/// A text generator: trained on whole sequences, decoded step by step. The scores of both are the same.
pub trait Generator: fmt::Debug + Send + Sync {
    /// The last hidden state of every target token, `[N, H]`, and which rows are which sequence's.
    fn hidden<'t>(&self, graph: Graph<'t>, batch: &Batch) -> (Var<'t>, Arc<Segments>);

    /// What turns a hidden state into scores, or into a loss.
    fn output(&self) -> &OutputLayer;

    /// The longest sequence it can read or write; `None` where there is no end.
    fn max_length(&self) -> Option<usize> {
        None
    }

    /// The state before the first token: one row for each source, or `rows` rows of a model without one.
    ///
    /// # Errors
    /// Whatever the pass fails with.
    fn start(&self, graph: Graph<'_>, sources: Option<&Sequences>, rows: usize) -> Result<DecoderState>;

    /// The hidden states after one more token in each row, and the new state.
    ///
    /// # Errors
    /// Whatever the pass fails with.
    fn step<'t>(&self, graph: Graph<'t>, state: &DecoderState, tokens: &[u32]) -> Result<(Var<'t>, DecoderState)>;

    /// The summed loss of a batch, a scalar. Divide by [`OutputLayer::weight`] of the targets for the mean.
    fn loss<'t>(&self, graph: Graph<'t>, batch: &Batch) -> Var<'t> {
        let output = self.output();
        if output.consistency() == 0.0 {
            let (hidden, segments) = self.hidden(graph, batch);
            return output.loss(hidden, &segments.arrange(&batch.target.ids));
        }
        // Both passes at once: every element has dropout of its own.
        let (hidden, segments) = self.hidden(graph, &batch.twice());
        let rows: Arc<[u32]> = (0..segments.len()).flat_map(|i| segments.rows(i)).map(|&row| row as u32).collect();
        let is_joined = rows.iter().zip(0..).all(|(&row, i)| row == i);
        let hidden = if is_joined { hidden } else { hidden.gather(&rows) };
        output.consistent_loss(hidden, &batch.target.ids)
    }
}

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
) -> std::result::Result<Box<dyn Generator>, String> {
    config.validate(vocabulary)?;
    let mut scope = Scope::new(parameters, seed);
    Ok(match config.kind {
        _ if config.decoder == LayerKind::Transformer => {
            Box::new(TransformerGenerator::new(&mut scope, config, loss, vocabulary))
        }
        ModelKind::LanguageModel => Box::new(LanguageModel::new(&mut scope, config, loss, vocabulary)),
        ModelKind::EncoderDecoder => Box::new(EncoderDecoder::new(&mut scope, config, loss, vocabulary)),
    })
}
