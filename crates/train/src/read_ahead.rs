//! Batches that are read while the step before them is computed: a corpus that does not fit into memory is read from the disk.

use descant_batch::Batch;
use descant_text::{Batches, Position, TextError};
use std::panic::resume_unwind;
use std::thread;
use std::time::Instant;

/// The batches of a training, step by step.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    pub(crate) batches: Batches,
    /// Those of the next step, where they are read.
    next: Option<Result<Vec<Batch>, TextError>>,
    /// Where the batches after those that were taken begin.
    position: Position,
}

impl ReadAhead {
    pub(crate) fn new(batches: Batches) -> Self {
        let position = batches.position().clone();
        Self { batches, next: None, position }
    }

    /// The batches of a step: the one that [`ReadAhead::during`] has read, or the next one.
    ///
    /// # Errors
    /// Where the corpus cannot be read.
    pub(crate) fn take(&mut self, step: u64) -> Result<Vec<Batch>, TextError> {
        let found = self.next.take().unwrap_or_else(|| self.batches.next_step(step));
        self.position.clone_from(self.batches.position());
        found
    }

    /// Where a training goes on after the step whose batches were taken.
    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    /// Computes something, and meanwhile reads the batches of this step; and how many seconds these took longer.
    pub(crate) fn during<T>(&mut self, step: u64, compute: impl FnOnce() -> T) -> (T, f64) {
        let Self { batches, next, .. } = self;
        thread::scope(|scope| {
            let name = thread::Builder::new().name("read-ahead".to_owned());
            // Without another thread, they are read when they are taken.
            let reader = name.spawn_scoped(scope, || *next = Some(batches.next_step(step)));
            let (found, start) = (compute(), Instant::now());
            if let Ok(Err(panic)) = reader.map(|reader| reader.join()) {
                resume_unwind(panic);
            }
            (found, start.elapsed().as_secs_f64())
        })
    }
}
