use descant_autograd::{Segments, Var};
use descant_batch::Sequences;
use std::sync::Arc;

/// Hidden states of a ragged batch: one row for each token, in the order that the architecture computes them in, and which
/// rows belong to which sequence.
#[derive(Clone, Debug)]
pub struct HiddenStates<'t> {
    /// `[N, H]`.
    pub rows: Var<'t>,
    /// The rows of each sequence.
    pub segments: Arc<Segments>,
}

impl HiddenStates<'_> {
    /// The target id of each row.
    pub fn targets(&self, targets: &Sequences) -> Arc<[u32]> {
        self.segments.arrange(&targets.ids)
    }

    /// The same states with the rows of each sequence one after the other.
    #[must_use]
    pub fn sequence_major(self) -> Self {
        let lengths: Vec<usize> = (0..self.segments.len()).map(|i| self.segments.rows(i).len()).collect();
        let joined = Segments::joined(&lengths);
        if *self.segments == joined {
            return self;
        }
        let order = (0..self.segments.len()).flat_map(|i| self.segments.rows(i)).map(|&row| row as u32).collect();
        Self { rows: self.rows.gather(&order), segments: Arc::new(joined) }
    }
}
