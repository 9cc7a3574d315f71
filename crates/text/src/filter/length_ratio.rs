//! How long the sides of pairs are beside each other.

/// Characters of the longer side, at least, for a ratio to matter: short texts vary.
const LEAST: usize = 20;

/// The usual ratio of a target's length to its source's, in characters.
#[derive(Clone, Copy, Debug)]
pub struct LengthRatio {
    /// The median of its logarithms.
    usual: f64,
    /// How much these usually differ from it (the median absolute deviation).
    spread: f64,
}

impl LengthRatio {
    /// That of pairs of these lengths: source and target.
    pub fn of(lengths: &[[usize; 2]]) -> Self {
        let usual = median(lengths.iter().map(|&both| logarithm(both)).collect());
        let spread = median(lengths.iter().map(|&both| (logarithm(both) - usual).abs()).collect());
        Self { usual, spread }
    }

    /// Characters of a target for each of its source.
    pub fn usual(&self) -> f64 {
        self.usual.exp()
    }

    /// How many times the usual ratio a ratio has to be, or a part of it, to be so many deviations from it.
    pub fn deviations(&self, count: f64) -> f64 {
        (count * self.spread).exp()
    }

    /// Whether the ratio of a pair is more than so many times the usual one, or less than such a part of it.
    pub fn is_far(&self, lengths: [usize; 2], times: f64) -> bool {
        lengths.iter().all(|&length| length > 0)
            && lengths.into_iter().max() >= Some(LEAST)
            && (logarithm(lengths) - self.usual).abs() > times.ln()
    }
}

fn logarithm([source, target]: [usize; 2]) -> f64 {
    ((target + 1) as f64 / (source + 1) as f64).ln()
}

/// The middle one; of none, 0.
pub fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() {
        return 0.0;
    }
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
