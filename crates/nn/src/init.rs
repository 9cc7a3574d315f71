use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use std::f64::consts::TAU;

/// How a fresh parameter is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Zeros.
    Zeros,
    /// Ones.
    Ones,
    /// Uniform between minus this and this.
    Uniform(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
}

impl Init {
    /// `n` values; the same for the same seed.
    pub fn draw(self, n: usize, seed: u64) -> Vec<f64> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut unit = move || -> f64 { (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 };
        match self {
            Self::Zeros => vec![0.0; n],
            Self::Ones => vec![1.0; n],
            Self::Uniform(bound) => (0..n).map(|_| bound * (2.0 * unit() - 1.0)).collect(),
            // Box & Muller 1958.
            Self::Normal(deviation) => {
                (0..n).map(|_| deviation * (-2.0 * (1.0 - unit()).ln()).sqrt() * (TAU * unit()).cos()).collect()
            }
        }
    }
}
