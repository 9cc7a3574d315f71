//! Optimizers, learning rate schedules, clipping: single passes over the flat buffers of parameters and gradients.

mod average;
mod clip;
mod config;
mod optimizer;
mod rules;
mod schedule;
mod sum;

pub use average::WeightAverage;
pub use clip::{Clipping, ClippingConfig};
pub use config::OptimizerConfig;
pub use optimizer::Optimizer;
pub use schedule::{Schedule, ScheduleConfig};
pub use sum::{tree_sum, tree_sum_gradients};

/// Elements that one thread works on at a time. Part of what the bits of a sum of squares depend on.
const CHUNK: usize = 1 << 15;
