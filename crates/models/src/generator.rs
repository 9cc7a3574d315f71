use crate::{DecoderState, HiddenStates, OutputLayer};
use descant_autograd::{Graph, ParameterId, Var};
use descant_batch::{Batch, Sequences};
use descant_tensor::Result;
use std::fmt;

/// A text generator: trained on whole sequences, decoded step by step. The logits of both are the same.
pub trait Generator: fmt::Debug + Send + Sync {
    /// The hidden states of all decoder positions, which the output layer reads.
    fn hidden<'t>(&self, graph: Graph<'t>, batch: &Batch) -> HiddenStates<'t>;

    /// The layer from hidden states to logits, or to a loss.
    fn output(&self) -> &OutputLayer;

    /// The embeddings of what it reads: of sources, where it reads them, and of targets.
    fn embeddings(&self) -> (Option<ParameterId>, ParameterId);

    /// The longest sequence that it has positions for; `None` where nothing limits it.
    fn max_length(&self) -> Option<usize> {
        None
    }

    /// The decoder state before the first token: one row for each source, or `rows` rows of a language model.
    ///
    /// # Errors
    /// Whatever the pass fails with.
    fn start(&self, graph: Graph<'_>, sources: Option<&Sequences>, rows: usize) -> Result<DecoderState>;

    /// The hidden states after some more tokens in each row, perhaps none in some. The state becomes that after them.
    ///
    /// # Errors
    /// Whatever the pass fails with.
    fn step<'t>(&self, graph: Graph<'t>, state: &mut DecoderState, tokens: &Sequences) -> Result<HiddenStates<'t>>;

    /// The summed loss of a batch, a scalar. Divide by [`OutputLayer::weight`] for the mean.
    fn loss<'t>(&self, graph: Graph<'t>, batch: &Batch) -> Var<'t> {
        let output = self.output();
        match output.r_drop_weight() == 0.0 {
            true => output.loss(&self.hidden(graph, batch), batch),
            // Both passes at once: every element has dropout of its own.
            false => output.r_drop_loss(self.hidden(graph, &batch.twice()), batch),
        }
    }
}
