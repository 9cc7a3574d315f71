//! What every learning-rate schedule has: a formula; and the warm-up that several begin with.

/// The formula of a schedule.
pub(crate) trait Formula {
    /// Whether the factor of a step depends on the length of the training.
    const DEPENDS_ON_STEPS: bool;

    /// The factor of the learning rate after `step` of `steps` steps.
    fn factor(&self, step: u64, steps: u64) -> f64;

    /// Checks the range of every parameter, in a training of `steps` steps.
    ///
    /// # Errors
    /// The key, its value, and what is expected.
    fn validate(&self, steps: u64) -> Result<(), String>;

    /// Fits warm-up and decay into a training of `steps` steps.
    fn shorten(&mut self, _steps: u64) {}
}

/// The factor during warm-up: a linear rise, that reaches 1 in the last of `warmup` steps.
pub(crate) fn rise(step: u64, warmup: u64) -> Option<f64> {
    (step < warmup).then(|| (step as f64 + 1.0) / warmup as f64)
}

/// From 0 at the end of the warm-up to 1 at the end of the training.
pub(crate) fn progress(step: u64, warmup: u64, steps: u64) -> f64 {
    ((step as f64 - warmup as f64) / (steps as f64 - warmup as f64).max(1.0)).min(1.0)
}

/// Checks that a number of steps is within the training.
pub(crate) fn within(key: &str, value: u64, steps: u64) -> Result<(), String> {
    match value <= steps {
        true => Ok(()),
        false => Err(format!(
            "{key} = {value}: expected no more than the steps of the training, {steps} (train.steps, or train.epochs); set \
             either"
        )),
    }
}

/// A tenth of the steps, if the warm-up is longer than the training.
pub(crate) fn shorten(warmup: &mut u64, steps: u64) {
    if *warmup > steps {
        *warmup = steps / 10;
    }
}
