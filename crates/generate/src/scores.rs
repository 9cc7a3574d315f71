use crate::logit_statistics::{BLOCK, LogitStatistics, PIECE, PIECES};
use descant_kernels::{Real, row_maxima};

/// The scores of each token of the vocabulary after one hypothesis: logits less a shift.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scores<'a, E> {
    logits: &'a [E],
    shift: E,
    /// Where they are found, those of all logits, and which row these are.
    statistics: Option<(&'a LogitStatistics, usize)>,
}

impl<'a, E: Real> Scores<'a, E> {
    /// The logits themselves.
    pub(crate) fn logits(logits: &'a [E]) -> Self {
        Self { logits, shift: E::zero(), statistics: None }
    }

    /// The logits of a row of those that have these statistics.
    pub(crate) fn logits_of_row(logits: &'a [E], row: (&'a LogitStatistics, usize)) -> Self {
        Self { statistics: Some(row), ..Self::logits(logits) }
    }

    /// Their log probabilities, by the logarithm of the sum of the exponentials of the logits.
    pub(crate) fn log_softmax(self, log_sum_exp: f64) -> Self {
        Self { shift: E::of(log_sum_exp), ..self }
    }

    /// The score of a token that there is.
    pub(crate) fn get(self, token: u32) -> Option<f64> {
        self.logits.get(token as usize).map(|&logit| (logit - self.shift).f64())
    }

    /// Token by token.
    pub(crate) fn iter(self) -> impl Iterator<Item = f64> {
        self.logits.iter().map(move |&logit| (logit - self.shift).f64())
    }

    /// Pieces of the vocabulary, each with its first token and its largest score.
    pub(crate) fn pieces(self) -> impl Iterator<Item = (u32, Self, f64)> {
        self.logits.chunks(BLOCK).enumerate().flat_map(move |(block, logits)| {
            let maxima = match self.statistics {
                Some((statistics, row)) => statistics.maxima(row, block).map(E::of),
                None => {
                    let mut maxima = [E::neg_infinity(); PIECES];
                    row_maxima(logits, PIECE, &mut maxima);
                    maxima
                }
            };
            let pieces = (block * BLOCK..).step_by(PIECE).zip(logits.chunks(PIECE)).zip(maxima);
            pieces.map(move |((first, logits), max)| {
                (first as u32, Self { logits, statistics: None, ..self }, (max - self.shift).f64())
            })
        })
    }
}
