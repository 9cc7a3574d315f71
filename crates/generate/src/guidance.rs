//! Classifier-free guidance (Ho and Salimans 2022; of language models, Sanchez et al. 2023, arXiv 2306.17806): the scores of a text are led away
//! from those that it would have without its attributes, or without its prompt.

use descant_kernels::{Real, log_softmax_rows};
use std::iter::zip;

/// The guided scores of rows of `logits[N, width]`: of each of `counts`, so many rows are followed by as many without the condition. A score is
/// `u + scale (c - u)`, of the log probabilities `c` with the condition and `u` without it.
pub(crate) fn guided<E: Real>(logits: &[E], width: usize, counts: impl Iterator<Item = usize>, scale: f64) -> Vec<E> {
    let (mut guided, mut left, scale) = (Vec::with_capacity(logits.len() / 2), logits, E::of(scale));
    for count in counts {
        let (both, rest) = left.split_at(2 * count * width);
        left = rest;
        let mut logs = both.to_vec();
        log_softmax_rows(&mut logs, width);
        let (with, without) = logs.split_at(count * width);
        // What is impossible either way, such as a token that a short list leaves out, stays so.
        let score = |(&c, &u): (&E, &E)| match c == E::neg_infinity() || u == E::neg_infinity() {
            true => E::neg_infinity(),
            false => u + scale * (c - u),
        };
        guided.extend(zip(with, without).map(score));
    }
    guided
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_led_away_from_those_without_the_condition() {
        let logits = [0.0_f64, 1.0, f64::NEG_INFINITY, 2.0, 2.0, 0.0, 0.5, 0.0, 1.0, 7.0, 7.0, 0.0];
        let found = guided(&logits, 3, [1, 1].into_iter(), 3.0);
        let log = |row: &[f64], i: usize| row[i] - row.iter().map(|x| x.exp()).sum::<f64>().ln();
        for (row, i) in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)] {
            let (with, without) = (log(&logits[6 * row..][..3], i), log(&logits[6 * row + 3..][..3], i));
            assert!((found[3 * row + i] - (without + 3.0 * (with - without))).abs() < 1e-12);
        }
        assert_eq!(found[2], f64::NEG_INFINITY);
        // Without a lead, the log probabilities with the condition.
        assert!((guided(&logits[6..], 3, std::iter::once(1), 1.0)[1] - log(&logits[6..9], 1)).abs() < 1e-12);
    }
}
