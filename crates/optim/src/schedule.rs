use descant_tensor::Brief;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::f64::consts::PI;

/// How the learning rate changes: the `[schedule]` table of a recipe. Where there is a `warmup`, the rate first rises
/// evenly for that many steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// It does not.
    #[default]
    Constant,
    /// Times `gamma` after every so many steps.
    Step {
        /// The steps between two falls.
        every: u64,
        /// The factor of a fall.
        #[serde(default = "tenth")]
        gamma: f64,
    },
    /// Times `gamma` after each step.
    Exponential {
        /// The factor.
        gamma: f64,
    },
    /// Evenly down to the share `end`.
    Linear {
        /// Steps up to the full rate.
        #[serde(default)]
        warmup: u64,
        /// The share at the end.
        #[serde(default)]
        end: f64,
    },
    /// With one over the root of the steps (Vaswani et al. 2017, arXiv 1706.03762).
    InverseSqrt {
        /// Steps up to the full rate.
        warmup: u64,
    },
    /// Down to the share `end` along half a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983).
    Cosine {
        /// Steps up to the full rate.
        #[serde(default)]
        warmup: u64,
        /// The share at the end.
        #[serde(default)]
        end: f64,
    },
    /// The full rate until the last `decay` steps, then evenly down to the share `end` (Hu et al. 2024, arXiv
    /// 2404.06395).
    WarmupStableDecay {
        /// Steps up to the full rate.
        warmup: u64,
        /// Steps down from it.
        decay: u64,
        /// The share at the end.
        #[serde(default)]
        end: f64,
    },
    /// Times `factor` after more than `patience` validations without a better one.
    Plateau {
        /// The factor of a fall.
        #[serde(default = "tenth")]
        factor: f64,
        /// Validations to wait.
        #[serde(default = "ten")]
        patience: u64,
        /// How much better, as a share of the best loss, counts as better.
        #[serde(default = "e4")]
        threshold: f64,
        /// The least share.
        #[serde(default)]
        minimum: f64,
    },
}

impl ScheduleConfig {
    /// That every number is in its range, in a training of `steps` steps.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate(&self, steps: u64) -> Result<(), String> {
        let share = |key: &str, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(format!("schedule.{key} = {}: expected a number from 0 to 1", Brief(value))),
        };
        let within = |key: &str, value: u64| match value <= steps {
            true => Ok(()),
            false => Err(format!(
                "schedule.{key} = {value}: expected no more than the steps of the training, {steps} (train.steps, or \
                 train.epochs); set either"
            )),
        };
        match *self {
            Self::Constant => Ok(()),
            Self::Step { every: 0, .. } => Err("schedule.every = 0: expected 1 or more".to_owned()),
            Self::Step { gamma, .. } | Self::Exponential { gamma } => share("gamma", gamma),
            Self::InverseSqrt { warmup } => within("warmup", warmup),
            Self::Linear { warmup, end } | Self::Cosine { warmup, end } => {
                within("warmup", warmup)?;
                share("end", end)
            }
            Self::WarmupStableDecay { warmup, decay, end } => {
                within("warmup", warmup)?;
                within("decay", decay)?;
                match warmup.saturating_add(decay) <= steps {
                    true => share("end", end),
                    false => Err(format!(
                        "schedule.warmup = {warmup} and schedule.decay = {decay}: expected no more than the steps of \
                         the training, {steps}, together"
                    )),
                }
            }
            Self::Plateau { factor, threshold, minimum, .. } => {
                share("factor", factor)?;
                if !(0.0..1.0).contains(&threshold) {
                    return Err(format!(
                        "schedule.threshold = {}: expected a number from 0 to below 1",
                        Brief(threshold)
                    ));
                }
                share("minimum", minimum)
            }
        }
    }
}

impl ScheduleConfig {
    /// The same for a training that is too short for it: warm-up and decay are then a tenth of the steps each.
    #[must_use]
    pub fn shortened(mut self, steps: u64) -> Self {
        match &mut self {
            Self::Linear { warmup, .. } | Self::InverseSqrt { warmup } | Self::Cosine { warmup, .. }
                if *warmup > steps =>
            {
                *warmup = steps / 10;
            }
            Self::WarmupStableDecay { warmup, decay, .. } if warmup.saturating_add(*decay) > steps => {
                (*warmup, *decay) = (steps / 10, steps / 10);
            }
            _ => {}
        }
        self
    }

    /// Whether the rate of a step depends on how many there are in all.
    pub fn depends_on_steps(&self) -> bool {
        matches!(self, Self::Linear { .. } | Self::Cosine { .. } | Self::WarmupStableDecay { .. })
    }
}

/// A schedule at work.
#[derive(Clone, Debug)]
pub struct Schedule {
    config: ScheduleConfig,
    steps: u64,
    /// Of a plateau: the share, the best loss, and validations since.
    plateau: (f64, f64, u64),
}

impl Schedule {
    /// For a training of `steps` steps.
    pub fn new(config: ScheduleConfig, steps: u64) -> Self {
        Self { config, steps, plateau: (1.0, f64::INFINITY, 0) }
    }

    /// What the learning rate is multiplied by in the step after `step` steps.
    pub fn factor(&self, step: u64) -> f64 {
        let (t, steps) = (step as f64, self.steps as f64);
        let rising = |warmup: u64| (step < warmup).then(|| (t + 1.0) / warmup as f64);
        // From 0 at the start to 1 at the end of the steps after the warm-up.
        let along = |warmup: u64| ((t - warmup as f64) / (steps - warmup as f64).max(1.0)).min(1.0);
        match self.config {
            ScheduleConfig::Constant => 1.0,
            ScheduleConfig::Step { every, gamma } => gamma.powf((step / every.max(1)) as f64),
            ScheduleConfig::Exponential { gamma } => gamma.powf(t),
            ScheduleConfig::Linear { warmup, end } => {
                rising(warmup).unwrap_or_else(|| 1.0 + (end - 1.0) * along(warmup))
            }
            ScheduleConfig::InverseSqrt { warmup } => {
                rising(warmup).unwrap_or_else(|| (warmup.max(1) as f64 / (t + 1.0)).sqrt())
            }
            ScheduleConfig::Cosine { warmup, end } => {
                rising(warmup).unwrap_or_else(|| end + (1.0 - end) * (1.0 + (PI * along(warmup)).cos()) / 2.0)
            }
            ScheduleConfig::WarmupStableDecay { warmup, decay, end } => rising(warmup).unwrap_or_else(|| {
                let into = ((t - (steps - decay as f64)) / decay.max(1) as f64).clamp(0.0, 1.0);
                1.0 + (end - 1.0) * into
            }),
            ScheduleConfig::Plateau { .. } => self.plateau.0,
        }
    }

    /// Takes note of a validation's loss.
    pub fn observe(&mut self, loss: f64) {
        let ScheduleConfig::Plateau { factor, patience, threshold, minimum } = self.config else { return };
        let (share, best, stale) = &mut self.plateau;
        if loss < *best * (1.0 - threshold) {
            (*best, *stale) = (loss, 0);
            return;
        }
        *stale += 1;
        if *stale > patience {
            (*share, *stale) = ((*share * factor).max(minimum), 0);
        }
    }

    /// What it remembers besides the number of steps.
    pub fn state(&self) -> Option<Value> {
        let (share, best, stale) = self.plateau;
        let best = best.is_finite().then_some(best);
        matches!(self.config, ScheduleConfig::Plateau { .. })
            .then(|| json!({"share": share, "best": best, "stale": stale}))
    }

    /// Goes on from what [`Schedule::state`] gave.
    ///
    /// # Errors
    /// Where it is no such state.
    pub fn restore(&mut self, state: &Value) -> Result<(), String> {
        let (share, stale) = (state["share"].as_f64(), state["stale"].as_u64());
        let (Some(share), Some(stale)) = (share, stale) else {
            return Err("the schedule's state is damaged".to_owned());
        };
        self.plateau = (share, state["best"].as_f64().unwrap_or(f64::INFINITY), stale);
        Ok(())
    }
}

fn tenth() -> f64 {
    0.1
}

fn ten() -> u64 {
    10
}

fn e4() -> f64 {
    1e-4
}
