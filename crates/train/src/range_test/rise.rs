//! When the loss of a range test has risen so far that higher rates tell nothing more.

/// The share of the running mean that remains after a step.
const DECAY: f64 = 0.9;
/// As many losses as the mean is of, about: what the test begins with.
const FIRST: u32 = 10;
/// How many standard deviations of a batch's loss the mean rises at least: it wanders by a quarter of one.
const CERTAIN: f64 = 4.0;

/// The running mean of the losses. The test ends where that is above its first value by as much as it had fallen below, and above its
/// lowest by more than batches differ. Both are differences: a loss may be negative, or cross 0.
#[derive(Debug, Default)]
pub(super) struct Rise {
    steps: u32,
    mean: f64,
    /// Of the differences from the mean before.
    squares: f64,
    first: f64,
    lowest: f64,
    /// The standard deviation of a batch's loss, up to the lowest mean: beyond it the loss may be anything.
    deviation: f64,
}

impl Rise {
    /// Takes the loss of the next step; whether the test is at its end.
    pub(super) fn observe(&mut self, loss: f64) -> bool {
        let difference = loss - self.mean;
        if self.steps > 0 {
            self.squares += difference * difference;
        }
        self.steps += 1;
        // Without a bias towards 0, where it starts.
        self.mean += (1.0 - DECAY) / (1.0 - DECAY.powf(f64::from(self.steps))) * difference;
        if self.steps <= FIRST {
            self.first = self.mean;
        }
        if self.steps <= FIRST || self.mean < self.lowest {
            self.lowest = self.mean;
            self.deviation = (self.squares / f64::from(self.steps)).sqrt();
        }
        let (fall, rise) = (self.first - self.lowest, self.mean - self.lowest);
        rise > 2.0 * fall && rise > CERTAIN * self.deviation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_autograd::derive_seed;

    /// What batches differ by: nearly normal, with a standard deviation of 0.07.
    fn noise(i: usize) -> f64 {
        let uniform = |j: u64| derive_seed(i as u64, j) as f64 / u64::MAX as f64 - 0.5;
        0.1 * (0..6).map(uniform).sum::<f64>()
    }

    /// The step at which a test of these losses ends.
    fn end(losses: impl IntoIterator<Item = f64>) -> Option<usize> {
        let mut rise = Rise::default();
        losses.into_iter().position(|loss| rise.observe(loss))
    }

    /// Level, a fall by 2 from step 60 to 120, and from step 140 on a rise.
    fn curve(i: usize) -> f64 {
        let fall = 2.0 * ((i as f64 - 60.0) / 60.0).clamp(0.0, 1.0);
        let rise = (i as f64 - 140.0).max(0.0).powi(2) / 100.0;
        4.0 - fall + rise + noise(i)
    }

    #[test]
    fn it_ends_where_the_loss_is_above_the_first_by_as_much_as_it_had_fallen() {
        let end = end((0..200).map(curve)).unwrap();
        // The curve is at 6 at step 160, and the mean ten steps behind.
        assert!((160..175).contains(&end), "{end}");
    }

    #[test]
    fn it_ends_at_the_same_step_wherever_zero_is_and_in_any_unit() {
        let plain = end((0..200).map(curve));
        for shift in [-4.0, -3.0, -2.0, -1000.0, 50.0] {
            assert_eq!(end((0..200).map(|i| curve(i) + shift)), plain, "{shift}");
        }
        for scale in [1e-6, 1e6] {
            assert_eq!(end((0..200).map(|i| scale * curve(i))), plain, "{scale}");
        }
    }

    #[test]
    fn it_does_not_end_by_what_batches_differ_by() {
        for shift in [0.0, -0.02, 3.0] {
            assert_eq!(end((0..5000).map(|i| noise(i) + shift)), None, "{shift}");
        }
        // Nor at a constant, nor where the loss falls through zero and stays.
        assert_eq!(end(std::iter::repeat_n(-1.0, 1000)), None);
        assert_eq!(end((0..1000).map(|i| 1.0 - 2.0 * (i as f64 / 500.0).min(1.0) + noise(i))), None);
    }

    #[test]
    fn it_ends_where_the_loss_never_fell() {
        let end = end((0..200).map(|i| -1.0 + (i as f64 - 100.0).max(0.0) / 10.0 + noise(i))).unwrap();
        assert!((100..120).contains(&end), "{end}");
    }
}
