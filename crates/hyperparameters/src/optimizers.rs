//! The optimizers. Each is one file, which holds its hyperparameters, their defaults and ranges, its state and its update
//! rule; a `mod` line and one in the list here.

use crate::parameter_patterns::{compile, matching};
use crate::ranges::{check, from_0};
use crate::update::{Chunk, Step, Update};
use descant_kernels::Real;
use descant_tensor::Shape;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod lamb;
mod lbfgs;
mod lion;
mod muon;
mod nadam;
mod radam;
mod rmsprop;
mod schedule_free;
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
        /// otherwise. `decay_factors` gives parameters more or less of it.
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

            fn given_factors(&self) -> &BTreeMap<String, f64> {
                match self {
                    $(Self::$optimizer(config) => &config.decay_factors,)*
                }
            }

            /// The same hyperparameters as by default.
            fn default_of_kind(&self) -> Self {
                match self {
                    $(Self::$optimizer(_) => Self::$optimizer($optimizer::default()),)*
                }
            }

            fn weight_decay(&self) -> f64 {
                match self {
                    $(Self::$optimizer(config) => config.weight_decay,)*
                }
            }

            fn set_weight_decay(&mut self, weight_decay: f64) {
                match self {
                    $(Self::$optimizer(config) => config.weight_decay = weight_decay,)*
                }
            }

            /// Whether it updates a parameter as a whole, not any run of its elements.
            pub fn is_whole(&self) -> bool {
                match self {
                    $(Self::$optimizer(_) => <$optimizer as Update>::WHOLE,)*
                }
            }

            /// Of an optimizer that averages the weights itself, where the average lies on the line from the weights, at 0, to the first state
            /// buffer, at 1.
            pub fn average(&self) -> Option<f64> {
                match self {
                    $(Self::$optimizer(config) => config.average(),)*
                }
            }

            fn own_state_len(&self, name: &str, shape: Shape) -> usize {
                match self {
                    $(Self::$optimizer(config) => config.state_len(name, shape),)*
                }
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
    "lamb" lamb::Lamb,
    "adafactor" adafactor::Adafactor,
    "muon" muon::Muon,
    "lbfgs" lbfgs::Lbfgs,
    "adamw-schedule-free" schedule_free::AdamwScheduleFree,
}

const NO_DECAY: &str = "optimizer.no_decay";
const DECAY_FACTORS: &str = "optimizer.decay_factors";

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adamw(Adamw::default())
    }
}

impl OptimizerConfig {
    /// What updates a parameter: mostly this, with so much of the weight decay.
    #[must_use]
    pub fn of_parameter(&self, name: &str, shape: Shape, decay_factor: f64) -> Self {
        let mut own = match self {
            Self::Lamb(lamb) if decay_factor == 0.0 => Self::Adam(lamb.without_trust_ratio()),
            Self::Muon(muon) if !muon.is_hidden(name, shape) => Self::Adamw(muon.of_others()),
            own => own.clone(),
        };
        own.set_weight_decay(own.weight_decay() * decay_factor);
        own
    }

    /// Its patterns of parameters beside those of the weight decay, with their key.
    fn own_patterns(&self) -> Option<(&'static str, &[String])> {
        match self {
            Self::Muon(muon) => Some(("optimizer.adamw", &muon.adamw)),
            _ => None,
        }
    }

    /// What the weight decay of each of the parameters with these names is multiplied by: 0 for `no_decay`.
    ///
    /// # Errors
    /// A pattern that matches no parameter, unless it is one by default.
    pub fn decay_factors(&self, names: &[&str]) -> Result<Vec<f64>, String> {
        let usual = self.default_of_kind();
        let is_usual = |pattern: &String| {
            let own = usual.own_patterns().map_or(&[][..], |(_, patterns)| patterns);
            usual.no_decay().contains(pattern) || own.contains(pattern)
        };
        let find = |(key, patterns): (&str, &[String])| -> Result<Vec<usize>, String> {
            let mut all = Vec::new();
            for pattern in patterns {
                match matching(key, pattern, names) {
                    Ok(found) => all.extend(found),
                    Err(_) if is_usual(pattern) => {}
                    Err(reason) => return Err(reason),
                }
            }
            Ok(all)
        };
        // Of these it only matters here that they match.
        self.own_patterns().map_or(Ok(Vec::new()), find)?;
        let mut factors = vec![1.0; names.len()];
        find((NO_DECAY, self.no_decay()))?.into_iter().for_each(|i| factors[i] = 0.0);
        for (pattern, factor) in self.given_factors() {
            matching(DECAY_FACTORS, pattern, names)?.into_iter().for_each(|i| factors[i] *= factor);
        }
        Ok(factors)
    }

    /// How many numbers a parameter of this shape has in the state buffer of this name.
    pub fn state_len(&self, name: &str, shape: Shape) -> usize {
        if self.state_names().contains(&name) { self.own_state_len(name, shape) } else { 0 }
    }

    /// How many numbers of state a parameter of this shape has in all.
    pub fn state_size(&self, shape: Shape) -> usize {
        let vectors = self.history_size().map_or(0, |size| 2 * size + 2);
        self.state_names().iter().map(|name| self.own_state_len(name, shape)).sum::<usize>() + vectors * shape.len()
    }

    /// Of an optimizer that searches along a direction, how many of the last changes it is made of.
    pub fn history_size(&self) -> Option<usize> {
        match self {
            Self::Lbfgs(config) => Some(config.history_size),
            _ => None,
        }
    }

    /// Checks the range of every hyperparameter.
    ///
    /// # Errors
    /// The key, its value, and what is expected.
    pub fn validate(&self) -> Result<(), String> {
        for (key, patterns) in [(NO_DECAY, self.no_decay())].into_iter().chain(self.own_patterns()) {
            patterns.iter().try_for_each(|pattern| compile(key, pattern).map(drop))?;
        }
        for (pattern, &factor) in self.given_factors() {
            compile(DECAY_FACTORS, pattern)?;
            let fits = (0.0..=1e6).contains(&factor);
            check(&format!("{DECAY_FACTORS}.{pattern:?}"), factor, fits, "a number from 0 to 1000000")?;
        }
        self.validate_own()?;
        from_0("optimizer.weight_decay", self.weight_decay())
    }
}
