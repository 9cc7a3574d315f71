//! A batch of random ids, for what does not depend on a text: gradients, and speed.

use descant_autograd::derive_seed;
use descant_batch::{Batch, Sequences};
use descant_models::Vocabulary;

/// Sequences of random ids, with sources for a `pair`; of lengths up to `length` where they are `ragged`, or else all of it.
pub fn random_batch(pair: bool, vocabulary: &Vocabulary, sequences: usize, length: usize, ragged: bool) -> Batch {
    let make = |side: u64, vocabulary: usize| {
        let mut all = Sequences::new();
        for i in 0..sequences {
            let length = if ragged { length - i % length.min(3) } else { length };
            let id = |j: usize| (derive_seed(side, (i * length + j) as u64) % vocabulary as u64) as u32;
            all.push(&(0..length).map(id).collect::<Vec<_>>());
        }
        all
    };
    let Vocabulary { source, target, .. } = *vocabulary;
    Batch { source: pair.then(|| make(1, source)), input: make(2, target), target: make(3, target), ..Batch::default() }
}
