//! The rows that choose their next tokens in a step, each by its own scores.

use crate::DecodingOptions;
use crate::scorer::Scorer;
use crate::scores::Scores;
use crate::search::Search;
use descant_kernels::{Real, log_sum_exp, run_on_threads};
use descant_tensor::{Error, Result, Shape, Tensor};
use std::ops::Range;
use std::panic::Location;

/// A row that chooses its next tokens in this step.
pub(crate) struct Turn<'a> {
    pub(crate) search: &'a mut Search,
    /// Its rows of the logits.
    pub(crate) scores: Range<usize>,
    /// Tokens that may follow the only text of the row, whose scores come after its own.
    pub(crate) draft: &'a [u32],
    /// The tokens that the only text of the row has got.
    pub(crate) chosen: Vec<u32>,
}

/// The scores below which a second thread costs more than it saves.
const MIN_SCORES: usize = 1 << 15;

/// Advances every search by its rows of `logits[N, V]`, on as many threads as there are scorers.
pub(crate) fn take_turns<E: Real>(
    turns: &mut [Turn<'_>],
    (shape, logits): (Shape, &[E]),
    hidden: Option<(&Tensor, &[u32])>,
    scorers: &mut [Scorer],
    options: &DecodingOptions,
) -> Result<()> {
    let threads = if shape.len() < MIN_SCORES { 1 } else { scorers.len() };
    let share = shape.rows().div_ceil(threads).max(1);
    let (mut left, mut failures) = (turns, vec![Ok(()); threads]);
    let tasks = scorers.iter_mut().zip(&mut failures).enumerate().map(|(thread, (scorer, failure))| {
        let count = left.partition_point(|turn| turn.scores.start < (thread + 1) * share);
        let (own, others) = std::mem::take(&mut left).split_at_mut(count);
        left = others;
        move || {
            *failure = own.iter_mut().try_for_each(|turn| {
                turn.take(shape, logits, hidden, scorer, options)?;
                let (op, inputs, location) = ("generate", Vec::new(), Location::caller());
                let failed = |reason| Err(Error::Shapes { op, reason, inputs, location });
                scorer.take_failure().map_or(Ok(()), failed)
            });
        }
    });
    run_on_threads(tasks);
    failures.into_iter().collect()
}

impl Turn<'_> {
    fn take<E: Real>(
        &mut self,
        shape: Shape,
        logits: &[E],
        hidden: Option<(&Tensor, &[u32])>,
        scorer: &mut Scorer,
        options: &DecodingOptions,
    ) -> Result<()> {
        let (width, mut scratch) = (shape.last(), vec![E::zero(); shape.last()]);
        let reads_logits = scorer.reads_logits();
        let mut scores_of = |row: usize| {
            let logits = &logits[row * width..][..width];
            let log_sum = log_sum_exp(logits, &mut scratch);
            if !log_sum.is_finite() {
                let wrong = logits.iter().position(|logit| logit.is_nan() || *logit == E::infinity());
                let element = row * width + wrong.unwrap_or(0);
                let (op, what, location) = ("generate", "the scores", Location::caller());
                return Err(Error::NonFinite { op, what, shape, element, location });
            }
            Ok(if reads_logits { Scores::logits(logits) } else { Scores::log_softmax(logits, log_sum) })
        };
        if self.draft.is_empty() {
            let scores = self.scores.clone().map(scores_of).collect::<Result<Vec<_>>>()?;
            let hidden = hidden.map(|(states, rows)| (states, &rows[self.scores.clone()]));
            self.chosen.extend(self.search.advance(scorer, &scores, hidden, options));
            return Ok(());
        }
        // As long as the draft is what is chosen, the scores after it are those of the text.
        for (row, drafted) in self.scores.clone().zip(self.draft.iter().map(Some).chain([None])) {
            let chosen = self.search.advance(scorer, &[scores_of(row)?], None, options);
            self.chosen.extend(chosen);
            if self.search.is_over() || chosen.as_ref() != drafted {
                break;
            }
        }
        Ok(())
    }
}
