//! How several corpora are mixed: each has a share of the places of an epoch, in which its own sequences come one after the other.

use crate::permutation::Permutation;
use rand_pcg::Pcg64;

/// How much is drawn of each of several corpora.
#[derive(Clone, Debug, PartialEq)]
pub enum Mixture {
    /// In proportion to these numbers, one for each.
    Weights(Vec<f64>),
    /// In proportion to the number of its sequences to the power of one over this (Arivazhagan et al. 2019): 1 is as they are, and more evens
    /// them out.
    Temperature(f64),
}

impl Mixture {
    /// Of so many places, those of corpora of these sizes: the nearest whole numbers, by the largest remainders.
    pub(crate) fn draws(&self, sizes: &[u64], places: u64) -> Vec<u64> {
        let weights: Vec<f64> = match self {
            Self::Weights(weights) => weights.clone(),
            Self::Temperature(temperature) => sizes.iter().map(|&size| (size as f64).powf(1.0 / temperature)).collect(),
        };
        let all: f64 = weights.iter().sum();
        let exact: Vec<f64> = weights.iter().map(|weight| places as f64 * weight / all).collect();
        let mut draws: Vec<u64> = exact.iter().map(|exact| exact.floor() as u64).collect();
        let mut order: Vec<usize> = (0..draws.len()).filter(|&i| weights[i] > 0.0).collect();
        order.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()));
        let mut missing = places.saturating_sub(draws.iter().sum());
        for i in order.into_iter().cycle().take(draws.len()) {
            draws[i] += u64::from(missing > 0);
            missing = missing.saturating_sub(1);
        }
        draws
    }
}

/// What is drawn for the order within a corpus is apart from what else is.
const WITHIN: u128 = 3;

/// The order of an epoch over several corpora.
#[derive(Debug)]
pub(crate) struct MixedOrder {
    seed: u64,
    epoch: u64,
    /// Which draw comes to which place: first all of the first corpus, then those of the next.
    places: Permutation,
    draws: Vec<u64>,
    sizes: Vec<u64>,
}

impl MixedOrder {
    pub(crate) fn new(mixture: &Mixture, sizes: &[u64], (seed, epoch): (u64, u64), random: &mut Pcg64) -> Self {
        let places: u64 = sizes.iter().sum();
        let draws = mixture.draws(sizes, places);
        let places = Permutation::new(draws.iter().sum(), random);
        Self { seed, epoch, places, draws, sizes: sizes.to_vec() }
    }

    /// How many places an epoch has.
    pub(crate) fn len(&self) -> u64 {
        self.places.len()
    }

    /// The number of the sequence at a place, where those of the corpora are counted one after the other, and in which epoch of its corpus it
    /// comes there.
    pub(crate) fn get(&self, place: u64) -> (u64, u64) {
        let (mut draw, mut start) = (self.places.get(place), 0);
        for ((corpus, &size), &draws) in (0_u64..).zip(&self.sizes).zip(&self.draws) {
            if draw < draws && size > 0 {
                // Each corpus has epochs of its own, which go on where the last one of all ended.
                let draw = u128::from(self.epoch) * u128::from(draws) + u128::from(draw);
                let (own_epoch, own_place) = ((draw / u128::from(size)) as u64, (draw % u128::from(size)) as u64);
                let state = u128::from(self.seed) << 64 | u128::from(own_epoch);
                let mut random = Pcg64::new(state, WITHIN << 64 | u128::from(corpus));
                return (start + Permutation::new(size, &mut random).get(own_place), own_epoch);
            }
            draw = draw.saturating_sub(draws);
            start += size;
        }
        (start.saturating_sub(1), self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_weights_and_temperatures() {
        let weights =
            |weights: &[f64], sizes: &[u64]| Mixture::Weights(weights.to_vec()).draws(sizes, sizes.iter().sum());
        assert_eq!(weights(&[1.0, 3.0], &[70, 30]), [25, 75]);
        assert_eq!(weights(&[0.0, 0.1], &[70, 30]), [0, 100]);
        assert_eq!(weights(&[1.0, 1.0, 1.0], &[50, 49, 1]), [34, 33, 33]);
        assert_eq!(Mixture::Temperature(1.0).draws(&[70, 30], 100), [70, 30]);
        assert_eq!(Mixture::Temperature(2.0).draws(&[81, 1], 82), [74, 8]);
        assert_eq!(Mixture::Temperature(1e9).draws(&[99, 1], 100), [50, 50]);
    }

    #[test]
    fn each_corpus_comes_whole_again_and_again() {
        let (sizes, mixture) = ([50, 7], Mixture::Weights(vec![1.0, 2.0]));
        let mut drawn = [0_u64; 57];
        let mut seen = std::collections::HashSet::new();
        for epoch in 0..7 {
            let order = MixedOrder::new(&mixture, &sizes, (5, epoch), &mut Pcg64::new(5, u128::from(epoch)));
            assert_eq!(order.len(), 57);
            for place in 0..57 {
                let (number, own_epoch) = order.get(place);
                drawn[number as usize] += 1;
                assert!(seen.insert((number, own_epoch)), "once in an epoch of its own");
            }
            let [of_first, of_second] = [&drawn[..50], &drawn[50..]].map(|drawn| drawn.iter().sum::<u64>());
            assert_eq!([of_first, of_second], [19 * (epoch + 1), 38 * (epoch + 1)]);
            // No sequence comes again before all others of its corpus did.
            for drawn in [&drawn[..50], &drawn[50..]] {
                let (least, most) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
                assert!(most - least <= 1, "{drawn:?}");
            }
        }
    }
}
