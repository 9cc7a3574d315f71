//! What several processors compute of scores.

use crate::scratch::Scratch;
use descant_kernels::log_sum_exp;

/// The largest score; minus infinity where all tokens are forbidden.
pub(crate) fn largest(scores: &[f64]) -> f64 {
    scores.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// The token with the largest score, the first of several; none where all are forbidden.
pub(crate) fn argmax(scores: &[f64]) -> Option<usize> {
    possible(scores).max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)))
}

/// Lists the tokens that are not forbidden, with their log probabilities, the most likely first; among equals the first.
pub(crate) fn most_likely_first(scores: &[f64], all: &mut Vec<(usize, f64)>) {
    let total = log_sum_exp(scores);
    all.extend(possible(scores).map(|token| (token, scores[token] - total)));
    all.sort_unstable_by(likeliest_first);
}

/// The order of tokens by their scores; among equals the first.
pub(crate) fn likeliest_first(a: &(usize, f64), b: &(usize, f64)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// The tokens that are not forbidden.
pub(crate) fn possible(scores: &[f64]) -> impl Iterator<Item = usize> {
    (0..scores.len()).filter(|&token| scores[token] > f64::NEG_INFINITY)
}

/// The entropy in nats of a distribution by its log probabilities.
pub(crate) fn entropy(logs: impl Iterator<Item = f64>) -> f64 {
    logs.map(|log| -log.exp() * log).sum()
}

/// Forbids all tokens but these, whose numbers become their scores.
pub(crate) fn keep(scores: &mut [f64], tokens: &mut [(usize, f64)]) {
    tokens.iter_mut().for_each(|(token, score)| *score = scores[*token]);
    scores.fill(f64::NEG_INFINITY);
    tokens.iter().for_each(|&(token, score)| scores[token] = score);
}

/// Forbids all tokens less likely than a probability, but for the `least` most likely ones.
pub(crate) fn cut_below(scores: &mut [f64], probability: f64, least: usize, scratch: &Scratch) {
    let log = probability.ln() + log_sum_exp(scores);
    let last = scratch.scores(|best| {
        for &score in scores.iter() {
            let at = best.partition_point(|&other| other >= score);
            if at < least {
                best.insert(at, score);
                best.truncate(least);
            }
        }
        best.last().copied().unwrap_or(f64::NEG_INFINITY)
    });
    let floor = last.min(log);
    scores.iter_mut().filter(|score| **score < floor).for_each(|score| *score = f64::NEG_INFINITY);
}

/// Sets the scores of tokens that there are.
pub(crate) fn set(scores: &mut [f64], tokens: &[u32], score: f64) {
    for &token in tokens {
        if let Some(place) = scores.get_mut(token as usize) {
            *place = score;
        }
    }
}
