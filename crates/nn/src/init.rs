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
    /// Orthogonal matrices of this many rows and columns, one after the other, each drawn uniformly from all (Saxe et al. 2014, arXiv
    /// 1312.6120).
    Orthogonal(usize),
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
        // Box & Muller 1958.
        let mut normal = |deviation: f64| deviation * (-2.0 * (1.0 - unit()).ln()).sqrt() * (TAU * unit()).cos();
        match self {
            Self::Zeros => values.fill(E::zero()),
            Self::Ones => values.fill(E::one()),
            Self::Uniform(bound) => values.fill_with(|| E::of(bound * (2.0 * unit() - 1.0))),
            Self::Normal(deviation) => values.fill_with(|| E::of(normal(deviation))),
            Self::Orthogonal(side) => {
                for block in values.chunks_exact_mut((side * side).max(1)) {
                    let mut rows: Vec<f64> = block.iter().map(|_| normal(1.0)).collect();
                    orthonormalise(&mut rows, side);
                    block.iter_mut().zip(rows).for_each(|(value, row)| *value = E::of(row));
                }
            }
        }
    }
}

/// Makes the rows of a square matrix orthogonal to each other and of length 1, by the modified Gram-Schmidt process.
fn orthonormalise(rows: &mut [f64], side: usize) {
    for i in 0..side {
        let (before, rest) = rows.split_at_mut(i * side);
        let row = &mut rest[..side];
        for other in before.chunks_exact(side) {
            let along = dot(row, other);
            row.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
        }
        let length = dot(row, row).sqrt().max(f64::MIN_POSITIVE);
        row.iter_mut().for_each(|x| *x /= length);
    }
}

/// In eight sums, which the compiler keeps in registers: the same bits on every machine.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::Init;

    #[test]
    fn blocks_are_orthogonal_and_differ() {
        for side in [1, 2, 7, 64] {
            let values = Init::Orthogonal(side).draw(3 * side * side, 5);
            let blocks: Vec<&[f64]> = values.chunks_exact(side * side).collect();
            for block in &blocks {
                for i in 0..side {
                    for j in 0..side {
                        let product: f64 = (0..side).map(|k| block[i * side + k] * block[j * side + k]).sum();
                        let expected = if i == j { 1.0 } else { 0.0 };
                        assert!((product - expected).abs() < 1e-12, "{side}: rows {i} and {j}: {product}");
                    }
                }
            }
            assert!(side == 1 || blocks[0] != blocks[1] && blocks[1] != blocks[2]);
            assert_ne!(values, Init::Orthogonal(side.max(2)).draw(3 * side * side, 6));
        }
    }
}
