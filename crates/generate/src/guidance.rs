//! Classifier-free guidance (Ho and Salimans 2022; of language models, Sanchez et al. 2023, arXiv 2306.17806): the scores of a text are led away
//! from those that it would have without its attributes, or without its prompt.

use descant_kernels::{Real, log_softmax_rows};
use descant_tensor::{Aligned, Shape};

/// Leaves in `guided` the guided scores of rows of `logits[N, V]`: of each of `counts`, so many rows are followed by as many without the
/// condition. A score is `u + scale (c - u)`, of the log probabilities `c` with the condition and `u` without it, both of the tokens that are not
/// forbidden: it is no log probability itself.
pub(crate) fn lead<E: Real>(
    (shape, logits): (Shape, &[E]),
    counts: impl Iterator<Item = usize>,
    (scale, forbidden): (f64, &[u32]),
    guided: &mut Aligned<E>,
) {
    let scale = E::of(scale);
    guided.clear();
    guided.extend_from_slice(logits);
    for row in guided.chunks_mut(shape.last().max(1)) {
        for &token in forbidden {
            if let Some(logit) = row.get_mut(token as usize) {
                *logit = E::neg_infinity();
            }
        }
    }
    log_softmax_rows(guided, shape.last());
    // What is impossible either way, such as a token that a short list leaves out, stays so.
    let score = |c: E, u: E| match c == E::neg_infinity() || u == E::neg_infinity() {
        true => E::neg_infinity(),
        false => u + scale * (c - u),
    };
    // A score is written where nothing is read any more: before what it is made of, or in its place.
    let (mut to, mut with) = (0, 0);
    for count in counts {
        let without = with + count * shape.last();
        for i in 0..count * shape.last() {
            guided[to + i] = score(guided[with + i], guided[without + i]);
        }
        (to, with) = (to + count * shape.last(), without + count * shape.last());
    }
    guided.truncate(to);
}

/// Which model of an ensemble failed for each guided row: the one with the condition, or without it.
pub(crate) fn lead_failures(failed: &[Option<usize>], counts: impl Iterator<Item = usize>) -> Vec<Option<usize>> {
    let (mut led, mut rest) = (Vec::new(), failed);
    for count in counts {
        let Some((with, others)) = rest.split_at_checked(count) else { break };
        led.extend(with.iter().zip(others).map(|(with, without)| with.or(*without)));
        rest = others.get(count..).unwrap_or_default();
    }
    led
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_tensor::aligned;

    #[test]
    fn scores_are_led_away_from_those_without_the_condition() {
        let logits = [0.0_f64, 1.0, f64::NEG_INFINITY, 2.0, 2.0, 0.0, 0.5, 0.0, 1.0, 7.0, 7.0, 0.0];
        let without = |logits: &[f64], counts: &[usize], scale: f64, forbidden: &[u32]| {
            // What was there before means nothing.
            let mut guided = aligned(7);
            lead((Shape::from([logits.len() / 3, 3]), logits), counts.iter().copied(), (scale, forbidden), &mut guided);
            guided.to_vec()
        };
        let led = |logits: &[f64], counts: &[usize], scale: f64| without(logits, counts, scale, &[]);
        let found = led(&logits, &[1, 1], 3.0);
        assert_eq!(found.len(), 6);
        let log = |row: &[f64], i: usize| row[i] - row.iter().map(|x| x.exp()).sum::<f64>().ln();
        for (row, i) in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)] {
            let (with, without) = (log(&logits[6 * row..][..3], i), log(&logits[6 * row + 3..][..3], i));
            assert!((found[3 * row + i] - (without + 3.0 * (with - without))).abs() < 1e-12);
        }
        assert_eq!(found[2], f64::NEG_INFINITY);
        // Without a lead, the log probabilities with the condition.
        assert!((led(&logits[6..], &[1], 1.0)[1] - log(&logits[6..9], 1)).abs() < 1e-12);
        // Of what is forbidden, the others have the probability: in both, before one leads away from the other.
        let masked =
            |logits: &[f64]| [logits[0], f64::NEG_INFINITY, logits[2], logits[3], f64::NEG_INFINITY, logits[5]];
        assert_eq!(without(&logits[6..], &[1], 3.0, &[1]), led(&masked(&logits[6..]), &[1], 3.0));
        let failed = [Some(1), None, None, None, None, Some(0)];
        assert_eq!(lead_failures(&failed, [1, 0, 2].into_iter()), [Some(1), None, Some(0)]);
        assert_eq!(lead_failures(&[], [1].into_iter()), []);
        // Two rows together, and none.
        let both = [&logits[..3], &logits[6..9], &logits[3..6], &logits[9..]].concat();
        assert_eq!(led(&both, &[0, 2], 3.0)[3..], found[3..]);
    }
}
