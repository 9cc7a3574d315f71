use descant_tensor::Element;
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use std::f64::consts::TAU;

/// The initialisation of a parameter.
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
        let mut values = vec![0.0; n];
        self.fill(&mut values, seed);
        values
    }

    /// Fills `values`; the same for the same seed.
    pub fn fill<E: Element>(self, values: &mut [E], seed: u64) {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut unit = move || -> f64 { (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 };
        match self {
            Self::Zeros => values.fill(E::zero()),
            Self::Ones => values.fill(E::one()),
            Self::Uniform(bound) => values.fill_with(|| E::of(bound * (2.0 * unit() - 1.0))),
            // Box & Muller 1958.
            Self::Normal(deviation) => {
                values.fill_with(|| E::of(deviation * (-2.0 * (1.0 - unit()).ln()).sqrt() * (TAU * unit()).cos()));
            }
        }
    }
}
