/// The share of what was gained that is lost again.
const LOST: f64 = 0.3;

/// The training losses so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Losses {
    pub(super) first: f64,
    pub(super) last: f64,
    pub(super) lowest: f64,
    /// The step of the lowest.
    pub(super) lowest_step: u64,
}

impl Losses {
    /// With the loss of another step.
    pub(super) fn with(before: Option<Self>, step: u64, loss: f64) -> Self {
        let before = before.unwrap_or(Self { first: loss, last: loss, lowest: loss, lowest_step: step });
        let (lowest, lowest_step) =
            if loss < before.lowest { (loss, step) } else { (before.lowest, before.lowest_step) };
        Self { last: loss, lowest, lowest_step, ..before }
    }

    /// The loss above which the training has lost again what it had gained.
    pub(super) fn limit(&self) -> f64 {
        self.lowest + (LOST * (self.first - self.lowest)).max(0.05 * self.lowest.abs()).max(0.02)
    }

    /// Whether the last loss is above that limit.
    pub(super) fn has_risen(&self) -> bool {
        self.last > self.limit()
    }
}
