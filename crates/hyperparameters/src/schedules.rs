//! The learning-rate schedules. Each is one file, which holds its parameters, their defaults and ranges, and its factor; and
//! a `mod` line and one word in the list here.

use crate::formula::Formula;
use serde::{Deserialize, Serialize};

mod constant;
mod cosine;
mod exponential;
mod inverse_sqrt;
mod linear;
mod plateau;
mod step;
mod warmup_stable_decay;

pub use plateau::PlateauState;

/// The schedules: `module::Type`, of which the type's name in kebab case is the recipe's `schedule.kind`.
macro_rules! schedules {
    ($($module:ident :: $schedule:ident),* $(,)?) => {
        $(pub use $module::$schedule;)*

        /// A learning-rate schedule: the `[schedule]` table of a recipe. Those with a `warmup` first rise linearly for that
        /// many steps.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "kebab-case")]
        pub enum ScheduleConfig {
            $(#[doc = concat!("See [`", stringify!($schedule), "`].")] $schedule($schedule),)*
        }

        impl ScheduleConfig {
            /// Checks the range of every number, in a training of `steps` steps.
            ///
            /// # Errors
            /// The key, its value, and what is expected.
            pub fn validate(&self, steps: u64) -> Result<(), String> {
                match self {
                    $(Self::$schedule(config) => config.validate(steps),)*
                }
            }

            /// The same for a training that is too short for it: warm-up and decay are then a tenth of the steps each.
            #[must_use]
            pub fn shortened(mut self, steps: u64) -> Self {
                match &mut self {
                    $(Self::$schedule(config) => config.shorten(steps),)*
                }
                self
            }

            /// Whether the factor of a step depends on the length of the training.
            pub fn depends_on_steps(&self) -> bool {
                match self {
                    $(Self::$schedule(_) => <$schedule as Formula>::DEPENDS_ON_STEPS,)*
                }
            }

            /// The factor of the learning rate after `step` of `steps` steps.
            pub fn factor(&self, step: u64, steps: u64) -> f64 {
                match self {
                    $(Self::$schedule(config) => config.factor(step, steps),)*
                }
            }
        }
    };
}

schedules! {
    constant::Constant,
    step::Step,
    exponential::Exponential,
    linear::Linear,
    inverse_sqrt::InverseSqrt,
    cosine::Cosine,
    warmup_stable_decay::WarmupStableDecay,
    plateau::Plateau,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::Constant(Constant {})
    }
}
