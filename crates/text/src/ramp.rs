//! Warm-up of what a step is given: a share that grows to the whole.

/// A share that grows linearly over the first steps of a training, and is 1 from then on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// The first step of the whole.
    pub steps: u64,
    /// The share of the first step of all, above 0 and at most 1.
    pub start: f64,
}

impl Default for Ramp {
    /// The whole from the start.
    fn default() -> Self {
        Self { steps: 0, start: 1.0 }
    }
}

impl Ramp {
    /// The share of a step.
    pub fn share(&self, step: u64) -> f64 {
        match step < self.steps {
            true => self.start + (1.0 - self.start) * (step as f64 / self.steps as f64),
            false => 1.0,
        }
    }

    /// The first step whose share is above `share`, which is below 1.
    pub(crate) fn first_above(&self, share: f64) -> u64 {
        match self.steps == 0 || share < self.start {
            true => 0,
            false => self.steps.min((self.steps as f64 * (share - self.start) / (1.0 - self.start)) as u64 + 1),
        }
    }

    /// How many whole steps the first `steps` ones are.
    pub fn whole_steps(&self, steps: u64) -> f64 {
        let rising = self.steps.min(steps) as f64;
        let missing = (1.0 - self.start) * (rising - rising * (rising - 1.0) / (2.0 * self.steps.max(1) as f64));
        steps as f64 - missing.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_to_the_whole_and_is_above_another_from_the_step_that_is_said() {
        let ramp = Ramp { steps: 8, start: 0.2 };
        let shares: Vec<f64> = (0..10).map(|step| ramp.share(step)).collect();
        assert_eq!((shares[0], shares[8], shares[9]), (0.2, 1.0, 1.0));
        assert!(shares[..9].windows(2).all(|two| (two[1] - two[0] - 0.1).abs() < 1e-12), "{shares:?}");
        for number in 0..99 {
            let share = f64::from(number) / 99.0;
            let first = shares.iter().position(|&other| other > share).unwrap() as u64;
            assert_eq!(ramp.first_above(share), first, "{share}");
        }
        for steps in [0, 1, 5, 8, 9, 100] {
            let sum: f64 = (0..steps).map(|step| ramp.share(step)).sum();
            assert!((ramp.whole_steps(steps) - sum).abs() < 1e-9, "{steps}");
        }
        let whole = Ramp::default();
        assert_eq!((whole.share(0), whole.first_above(0.99), whole.whole_steps(7)), (1.0, 0, 7.0));
    }
}
