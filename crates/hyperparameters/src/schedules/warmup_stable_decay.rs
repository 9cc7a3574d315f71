use crate::formula::{Formula, rise, within};
use crate::ranges::from_0_to_1;
use serde::{Deserialize, Serialize};

/// Warm-up, then the full rate until the last `decay` steps, then linear decay to the factor `end` (Hu et al. 2024, arXiv
/// 2404.06395).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmupStableDecay {
    /// Steps of the warm-up.
    pub warmup: u64,
    /// Steps of the decay.
    pub decay: u64,
    /// The factor at the end of the training.
    #[serde(default)]
    pub end: f64,
}

impl Formula for WarmupStableDecay {
    const DEPENDS_ON_STEPS: bool = true;

    fn factor(&self, step: u64, steps: u64) -> f64 {
        let &Self { warmup, decay, end } = self;
        rise(step, warmup).unwrap_or_else(|| {
            let start = steps as f64 - decay as f64;
            let progress = ((step as f64 - start) / decay.max(1) as f64).clamp(0.0, 1.0);
            1.0 + (end - 1.0) * progress
        })
    }

    fn validate(&self, steps: u64) -> Result<(), String> {
        let &Self { warmup, decay, end } = self;
        within("schedule.warmup", warmup, steps)?;
        within("schedule.decay", decay, steps)?;
        match warmup.saturating_add(decay) <= steps {
            true => from_0_to_1("schedule.end", end),
            false => Err(format!(
                "schedule.warmup = {warmup} and schedule.decay = {decay}: expected no more than the steps of the training, \
                 {steps}, together"
            )),
        }
    }

    fn shorten(&mut self, steps: u64) {
        if self.warmup.saturating_add(self.decay) > steps {
            (self.warmup, self.decay) = (steps / 10, steps / 10);
        }
    }
}
