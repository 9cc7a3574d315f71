//! The hyperparameters of a training, as the tables `[optimizer]` and `[schedule]` and the key `train.clip` of a recipe have them,
//! and the formulas that they stand in: update rules of optimizers, factors of learning-rate schedules, gradient clipping.
//! Data and pure functions; what has a state, or runs through gradients, is in `descant-optim`.

mod fields;
mod formula;
mod gradient_clipping;
pub mod optimizers;
pub mod parameter_patterns;
mod ranges;
pub mod schedules;
mod update;
#[cfg(test)]
mod walks;
mod zclip;

pub use gradient_clipping::{Clipping, ClippingConfig};
pub use optimizers::OptimizerConfig;
pub use schedules::ScheduleConfig;
pub use update::{Chunk, Step};
pub use zclip::ZclipState;
