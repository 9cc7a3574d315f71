//! The optimizers. Each is one file, which holds its hyperparameters, their defaults and ranges, its state and its update
//! rule; a `mod` line and one in the list here.

use crate::ranges::from_0;
use crate::update::{Chunk, Step, Update};
use descant_kernels::Real;
use glob::Pattern;
use serde::{Deserialize, Serialize};

mod adadelta;
mod adagrad;
mod adam;
mod lion;
mod nadam;
mod radam;
mod rmsprop;
mod sgd;

/// The optimizers: the recipe's `optimizer.kind`, and `module::Type`.
macro_rules! optimizers {
    ($($kind:literal $module:ident :: $optimizer:ident),* $(,)?) => {
        $(pub use $module::$optimizer;)*

        /// An optimizer and its hyperparameters, with PyTorch's names and defaults: the `[optimizer]` table of a recipe.
        ///
        /// Each has `weight_decay`, and `no_decay`: patterns of the names of parameters without weight decay, in which `*`
        /// matches any characters. By default these are biases and the weights of norms, `["*bias*", "*norm*"]`, as usual
        /// in training Transformers; embedding tables decay. With `[]` everything decays, as in PyTorch unless told
        /// otherwise.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum OptimizerConfig {
            $(#[doc = concat!("See [`", stringify!($optimizer), "`].")] #[serde(rename = $kind)] $optimizer($optimizer),)*
        }

        impl OptimizerConfig {
            /// All kinds.
            pub const KINDS: &[&str] = &[$($kind),*];

            /// The hyperparameters of each kind.
            pub const HYPERPARAMETERS: &[&[&str]] = &[$($module::$optimizer::FIELDS),*];

            /// Patterns of the parameters without weight decay.
            pub fn no_decay(&self) -> &[String] {
                match self {
                    $(Self::$optimizer(config) => &config.no_decay,)*
                }
            }

            fn weight_decay(&self) -> f64 {
                match self {
                    $(Self::$optimizer(config) => config.weight_decay,)*
                }
            }

            /// The same without weight decay.
            #[must_use]
            pub fn without_decay(mut self) -> Self {
                match &mut self {
                    $(Self::$optimizer(config) => config.weight_decay = 0.0,)*
                }
                self
            }

            /// PyTorch's names of the state buffers.
            pub fn state_names(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$optimizer(config) => config.state_names(),)*
                }
            }

            /// What the state buffers are filled with before the first step.
            pub fn initial_state(&self) -> f64 {
                match self {
                    $(Self::$optimizer(config) => config.initial_state(),)*
                }
            }

            fn validate_own(&self) -> Result<(), String> {
                match self {
                    $(Self::$optimizer(config) => config.validate(),)*
                }
            }

            /// Updates the weights and the state of a chunk.
            pub fn update<E: Real>(&self, chunk: Chunk<'_, E>, step: Step) {
                match self {
                    $(Self::$optimizer(config) => config.update(chunk, step),)*
                }
            }
        }
    };
}

optimizers! {
    "sgd" sgd::Sgd,
    "adagrad" adagrad::Adagrad,
    "adadelta" adadelta::Adadelta,
    "rmsprop" rmsprop::Rmsprop,
    "adam" adam::Adam,
    "adamw" adam::Adamw,
    "nadam" nadam::Nadam,
    "radam" radam::Radam,
    "lion" lion::Lion,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adamw(Adamw::default())
    }
}

impl OptimizerConfig {
    /// Checks the range of every hyperparameter.
    ///
    /// # Errors
    /// The key, its value, and what is expected.
    pub fn validate(&self) -> Result<(), String> {
        for pattern in self.no_decay() {
            Pattern::new(pattern).map_err(|error| format!("optimizer.no_decay {pattern:?}: {error}"))?;
        }
        self.validate_own()?;
        from_0("optimizer.weight_decay", self.weight_decay())
    }
}
