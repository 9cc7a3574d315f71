//! Optimizers, learning-rate schedules, gradient clipping, weight averaging, and the sum of gradients over the shares of a
//! batch: single passes over the flat buffers of parameters and gradients.

mod chunk;
mod formula;
mod gradient_clipping;
mod learning_rate_schedule;
mod optimizer;
pub mod optimizers;
mod ranges;
pub mod schedules;
mod tree_sum;
mod update;
#[cfg(test)]
mod walks;
mod weight_average;

pub use gradient_clipping::{Clipping, ClippingConfig};
pub use learning_rate_schedule::Schedule;
pub use optimizer::Optimizer;
pub use optimizers::OptimizerConfig;
pub use schedules::ScheduleConfig;
pub use tree_sum::{tree_sum, tree_sum_gradients};
pub use weight_average::WeightAverage;
