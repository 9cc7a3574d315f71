//! When the loss of a range test has risen so far that higher rates tell nothing more.

/// The share of the running mean that remains after a step.
const DECAY: f64 = 0.9;
/// As many losses as the mean is of, about: what the test begins with.
const FIRST: u32 = 10;
/// The mean beside its lowest, above which the loss has risen far.
const FACTOR: f64 = 4.0;
/// How many standard deviations of a batch's loss the lowest mean is above 0 for such a factor to mean something, or else the rise is at
/// least: the mean wanders by a quarter of one.
const CERTAIN: f64 = 4.0;

/// The running mean of the losses. The test ends where that is four times its lowest. Of a lowest near 0, or below, multiples mean
/// nothing; then it ends where the mean is above its first value by as much as it had fallen below, and above its lowest by more than
/// batches differ.
#[derive(Debug, Default)]
pub(super) struct Rise {
    steps: u32,
    mean: f64,
    previous: f64,
    /// Of the differences from the loss before, which a fall has hardly a part in.
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
            self.squares += (loss - self.previous).powi(2);
        }
        self.previous = loss;
        self.steps += 1;
        // Without a bias towards 0, where it starts.
        self.mean += (1.0 - DECAY) / (1.0 - DECAY.powf(f64::from(self.steps))) * difference;
        if self.steps <= FIRST {
            self.first = self.mean;
        }
        if self.steps <= FIRST || self.mean < self.lowest {
            self.lowest = self.mean;
            // Two batches differ by the root of two of it.
            self.deviation = (self.squares / f64::from(self.steps) / 2.0).sqrt();
        }
        let (fall, rise, certain) = (self.first - self.lowest, self.mean - self.lowest, CERTAIN * self.deviation);
        match self.lowest > certain {
            true => self.mean > FACTOR * self.lowest,
            false => rise > 2.0 * fall && rise > certain,
        }
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
    fn it_ends_where_the_loss_is_four_times_its_lowest() {
        let plain = end((0..200).map(curve)).unwrap();
        // The curve is at 8 at step 164, and the mean up to ten steps behind.
        assert!((165..176).contains(&plain), "{plain}");
        // Higher by 5, it is at 28 at step 186.
        let higher = end((0..250).map(|i| curve(i) + 5.0)).unwrap();
        assert!((186..200).contains(&higher), "{higher}");
    }

    #[test]
    fn of_losses_near_zero_or_below_it_ends_above_the_first_by_as_much_as_they_had_fallen() {
        // The curve is at 6, before the shift, at step 160.
        let near_zero = end((0..200).map(|i| curve(i) - 2.0)).unwrap();
        assert!((160..175).contains(&near_zero), "{near_zero}");
        for shift in [-4.0, -3.0, -1000.0] {
            assert_eq!(end((0..200).map(|i| curve(i) + shift)), Some(near_zero), "{shift}");
        }
    }

    #[test]
    fn a_steep_fall_is_not_taken_for_what_batches_differ_by() {
        // From 9 to 2.5 in 30 steps, and a rise of a quarter a step.
        let steep = |i: usize| 9.0 - 6.5 * (i as f64 / 30.0).min(1.0) + (i as f64 - 60.0).max(0.0) / 4.0 + noise(i);
        let end = end((0..200).map(steep)).unwrap();
        // At 10.4, and the mean nine steps behind; at twice the fall above the lowest it would be at 15.5.
        assert!((91..105).contains(&end), "{end}");
    }

    #[test]
    fn it_ends_at_the_same_step_in_any_unit() {
        for shift in [0.0, -3.0] {
            let plain = end((0..200).map(|i| curve(i) + shift));
            for scale in [1e-6, 1e6] {
                assert_eq!(end((0..200).map(|i| scale * (curve(i) + shift))), plain, "{scale}");
            }
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
        let rising = |first: f64| end((0..200).map(|i| first + (i as f64 - 100.0).max(0.0) / 10.0 + noise(i))).unwrap();
        let (below, above) = (rising(-1.0), rising(1.0));
        assert!((100..120).contains(&below), "{below}");
        // At 4, and the mean nine steps behind.
        assert!((130..145).contains(&above), "{above}");
    }
}
