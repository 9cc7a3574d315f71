//! Permutations of long ranges, of which every place is computed by itself.

use rand_core::Rng;
use rand_pcg::Pcg64;

/// Rounds of the cipher.
const ROUNDS: usize = 6;

/// A pseudo-random permutation of the numbers below `len`: a Feistel network over a power of four of numbers, applied again to what it
/// takes beyond `len` (Black & Rogaway 2002).
#[derive(Clone, Debug)]
pub(crate) struct Permutation {
    len: u64,
    /// Bits of either half of a number.
    half: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    pub(crate) fn new(len: u64, random: &mut Pcg64) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        Self { len, half: bits.div_ceil(2).max(1), keys: std::array::from_fn(|_| random.next_u64()) }
    }

    /// How many numbers there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The number at a place below `len`.
    pub(crate) fn get(&self, place: u64) -> u64 {
        let mut number = place;
        loop {
            number = self.encipher(number);
            if number < self.len {
                return number;
            }
        }
    }

    fn encipher(&self, number: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (number >> self.half, number & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        left << self.half | right
    }
}

/// The finalizer of SplitMix64 (Steele et al. 2014).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(len: u64, seed: u128) -> Vec<u64> {
        let permutation = Permutation::new(len, &mut Pcg64::new(seed, 1));
        (0..len).map(|place| permutation.get(place)).collect()
    }

    #[test]
    fn every_number_comes_once() {
        for len in [1, 2, 3, 4, 5, 16, 17, 100, 1023, 1024, 1025, 70_001] {
            let mut numbers = all(len, u128::from(len));
            numbers.sort_unstable();
            assert_eq!(numbers, (0..len).collect::<Vec<_>>());
        }
        let large = Permutation::new(u64::MAX, &mut Pcg64::new(7, 1));
        assert_ne!(large.get(0), large.get(1));
    }

    #[test]
    fn every_number_may_come_to_every_place() {
        // How often each of 20 numbers comes to each of 20 places, over many keys: chi-square with 361 degrees of freedom.
        const LEN: u64 = 20;
        let (mut counts, keys) = (vec![0_u32; (LEN * LEN) as usize], 20_000_u32);
        // How often two neighbours stay so.
        let mut neighbours = 0;
        for seed in 0..keys {
            let numbers = all(LEN, u128::from(seed));
            for (place, number) in numbers.iter().enumerate() {
                counts[place * LEN as usize + *number as usize] += 1;
            }
            neighbours += numbers.windows(2).filter(|pair| pair[0] + 1 == pair[1]).count();
        }
        let expected = f64::from(keys) / LEN as f64;
        let chi: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
        assert!((250.0..500.0).contains(&chi), "{chi}");
        // 19 pairs of places, each with 19 of 20 · 19 pairs of numbers.
        let expected = f64::from(keys) * 19.0 * 19.0 / (20.0 * 19.0);
        assert!((neighbours as f64 / expected - 1.0).abs() < 0.03, "{neighbours} {expected}");
    }
}
