//! Dropout of the rows of sequences: one mask for each sequence, where it is variational (Gal & Ghahramani 2016, arXiv 1512.05287), or for each
//! token.

use descant_autograd::{Graph, PackedSequences, Var};
use descant_tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is dropped in training of what recurrent layers read and write.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DropoutConfig {
    /// Of the inputs and outputs of layers.
    pub probability: f64,
    /// Whether that is by one mask for all tokens of a sequence.
    pub variational: bool,
    /// Of the hidden state before a step, by one mask for all steps of a sequence.
    pub recurrent: f64,
    /// Of the embeddings that a sequence reads, each of them whole and at all its places.
    pub embedding: f64,
    /// Of the tokens' embeddings, each token by itself.
    pub word: f64,
}

impl DropoutConfig {
    /// That of rows of this width, in a pass over so many sequences.
    pub fn rows<'t>(&self, graph: Graph<'t>, sequences: usize, width: usize) -> RowDropout<'t> {
        let mask = self.variational.then(|| mask(graph, [sequences, width], self.probability)).flatten();
        RowDropout { probability: if self.variational { 0.0 } else { self.probability }, mask }
    }

    /// Whether the tokens of an id may have embeddings that differ.
    pub fn changes_embeddings(&self) -> bool {
        self.probability > 0.0 || self.embedding > 0.0 || self.word > 0.0
    }

    /// Drops embeddings: of the tokens `ids`, in the order of `layout`.
    pub fn embeddings<'t>(&self, x: Var<'t>, ids: &[u32], layout: &PackedSequences) -> Var<'t> {
        let graph = x.graph();
        let of_words = mask(graph, [ids.len(), 1], self.word);
        let of_types = (self.embedding > 0.0).then(|| {
            // Each id that a sequence has, once.
            let mut known = BTreeMap::new();
            let sequences = sequences(layout);
            let place = |(&sequence, &id): (&u32, &u32)| {
                let next = known.len() as u32;
                *known.entry((sequence, id)).or_insert(next)
            };
            let places: Arc<[u32]> = sequences.iter().zip(ids).map(place).collect();
            mask(graph, [known.len(), 1], self.embedding).map(|mask| mask.gather(&places))
        });
        [of_words, of_types.flatten()].into_iter().flatten().fold(x, |x, mask| x * mask)
    }
}

/// Dropout of rows, as it is drawn for a pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowDropout<'t> {
    /// Of each element by itself.
    probability: f64,
    /// A row for each sequence, in the order of the layout.
    mask: Option<Var<'t>>,
}

impl<'t> RowDropout<'t> {
    /// Drops of rows of the first sequences of the pass, in the order of their layout.
    pub fn apply(&self, x: Var<'t>, layout: &PackedSequences) -> Var<'t> {
        match self.mask {
            Some(mask) => x * mask.gather(&sequences(layout)),
            None => x.dropout(self.probability),
        }
    }
}

/// The place of each row's sequence.
fn sequences(layout: &PackedSequences) -> Arc<[u32]> {
    (0..layout.steps()).flat_map(|t| 0..layout.active(t) as u32).collect()
}

/// A mask of zeros and of `1 / (1 - probability)`; none where nothing is dropped.
pub(crate) fn mask(graph: Graph<'_>, shape: [usize; 2], probability: f64) -> Option<Var<'_>> {
    let is_dropping = probability > 0.0 && graph.has_dropout();
    is_dropping.then(|| graph.constant(&Tensor::ones(graph.dtype(), shape)).dropout(probability))
}
