//! The learning-rate schedules. Each is one file, which holds its parameters, their defaults and ranges, and its factor; and
//! a `mod` line and one in the list here.

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

/// The schedules: the recipe's `schedule.kind`, and `module::Type`.
macro_rules! schedules {
    ($($kind:literal $module:ident :: $schedule:ident),* $(,)?) => {
        $(pub use $module::$schedule;)*

        /// A learning-rate schedule: the `[schedule]` table of a recipe. Those with a `warmup` first rise linearly for that
        /// many steps.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum ScheduleConfig {
            $(#[doc = concat!("See [`", stringify!($schedule), "`].")] #[serde(rename = $kind)] $schedule($schedule),)*
        }

        impl ScheduleConfig {
            /// All kinds.
            pub const KINDS: &[&str] = &[$($kind),*];

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
    "constant" constant::Constant,
    "step" step::Step,
    "exponential" exponential::Exponential,
    "linear" linear::Linear,
    "inverse-sqrt" inverse_sqrt::InverseSqrt,
    "cosine" cosine::Cosine,
    "warmup-stable-decay" warmup_stable_decay::WarmupStableDecay,
    "plateau" plateau::Plateau,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::Constant(Constant {})
    }
}
