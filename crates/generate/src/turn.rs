//! The rows that choose their next tokens in a step, each by its own scores.

use crate::logit_statistics::LogitStatistics;
use crate::scorer::Scorer;
use crate::scores::Scores;
use crate::search::Search;
use crate::{DecodingOptions, RowError};
use descant_kernels::{Real, run_on_threads};
use descant_tensor::{Shape, Tensor};
use smallvec::SmallVec;
use std::ops::Range;

/// A row that chooses its next tokens in this step.
pub(crate) struct Turn<'a> {
    pub(crate) search: &'a mut Search,
    /// Its rows of the logits.
    pub(crate) scores: Range<usize>,
    /// Tokens that may follow the only text of the row, whose scores come after its own.
    pub(crate) draft: &'a [u32],
    /// For the coverage penalty, the attention of each of its hypotheses.
    pub(crate) attention: &'a [Vec<f64>],
    pub(crate) chosen: Chosen,
}

/// The tokens that the only text of a row has got, or why the row cannot go on.
pub(crate) type Chosen = Result<Vec<u32>, RowError>;

/// The scores below which a second thread costs more than it saves.
const MIN_SCORES: usize = 1 << 15;

/// Advances every search by its rows of `logits[N, V]`, on as many threads as there are scorers. Of an ensemble, `failed` has the model whose
/// scores of a row are not finite.
pub(crate) fn take_turns<E: Real>(
    turns: &mut [Turn<'_>],
    (shape, logits, failed): (Shape, &[E], &[Option<usize>]),
    hidden: Option<(&Tensor, &[u32])>,
    (scorers, statistics): (&mut [Scorer], &mut LogitStatistics),
    options: &DecodingOptions,
) {
    let threads = if shape.len() < MIN_SCORES { 1 } else { scorers.len() };
    statistics.find(shape, logits, threads);
    let statistics = &*statistics;
    let share = shape.rows().div_ceil(threads).max(1);
    let mut left = turns;
    let tasks = scorers.iter_mut().take(threads).enumerate().map(|(thread, scorer)| {
        let count = left.partition_point(|turn| turn.scores.start < (thread + 1) * share);
        let (own, others) = std::mem::take(&mut left).split_at_mut(count);
        left = others;
        move || {
            for turn in own {
                turn.chosen = turn.take((shape, logits, failed), statistics, hidden, scorer, options);
            }
        }
    });
    run_on_threads(tasks);
}

impl Turn<'_> {
    fn take<E: Real>(
        &mut self,
        (shape, logits, failed): (Shape, &[E], &[Option<usize>]),
        statistics: &LogitStatistics,
        hidden: Option<(&Tensor, &[u32])>,
        scorer: &mut Scorer,
        options: &DecodingOptions,
    ) -> Chosen {
        let width = shape.last();
        let reads_logits = scorer.reads_logits();
        let scores_of = |row: usize| {
            let logits = Scores::logits_of_row(&logits[row * width..][..width], (statistics, row));
            let log_sum = statistics.log_sum_exp(row);
            if !log_sum.is_finite() {
                return Err(RowError::Scores { member: failed.get(row).copied().flatten().unwrap_or(0) });
            }
            Ok(if reads_logits { logits } else { logits.log_softmax(log_sum) })
        };
        if self.draft.is_empty() {
            let scores = self.scores.clone().map(scores_of).collect::<Result<SmallVec<[_; 8]>, _>>()?;
            let hidden = hidden.map(|(states, rows)| (states, &rows[self.scores.clone()]));
            let chosen = self.search.advance(scorer, (&scores, self.attention), hidden, options);
            return scorer
                .take_failure()
                .map_or(Ok(chosen.into_iter().collect()), |reason| Err(RowError::Constraint(reason)));
        }
        let mut all = Vec::with_capacity(self.scores.len());
        // As long as the draft is what is chosen, the scores after it are those of the text.
        for (row, drafted) in self.scores.clone().zip(self.draft.iter().map(Some).chain([None])) {
            let chosen = self.search.advance(scorer, (&[scores_of(row)?], &[]), None, options);
            if let Some(reason) = scorer.take_failure() {
                return Err(RowError::Constraint(reason));
            }
            all.extend(chosen);
            if self.search.is_over() || chosen.as_ref() != drafted {
                break;
            }
        }
        Ok(all)
    }
}
