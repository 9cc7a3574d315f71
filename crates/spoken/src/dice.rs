//! The source of chance: a seeded PCG whose draws are the same on every machine.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{RngCore, SeedableRng};

/// Seeded uniform draws. Our own few lines over the raw generator, so that no release of a sampling
/// library can change the data a seed stands for.
#[derive(Debug, Clone)]
pub(crate) struct Dice(Pcg64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Pcg64::seed_from_u64(seed))
    }

    /// A number in `0..bound`; `bound` must not be zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of 100 draws.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of the items, each equally likely; `items` must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_draws_never_change() {
        let mut dice = Dice::new(1);
        let draws: Vec<u64> = (0..8).map(|_| dice.below(1000)).collect();
        assert_eq!(draws, [839, 17, 113, 983, 888, 475, 187, 388]);
    }

    #[test]
    fn bounds_are_reached_and_kept() {
        let mut dice = Dice::new(2);
        let draws: std::collections::BTreeSet<u64> = (0..1000).map(|_| dice.between(3, 7)).collect();
        assert_eq!(draws.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
    }
}
