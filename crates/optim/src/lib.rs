//! Optimizers and learning-rate schedules with their state, gradient clipping, weight averaging, and the sum of gradients over the shares of a
//! batch: single passes over the flat buffers of parameters and gradients. Their formulas and hyperparameters are in
//! `descant-hyperparameters`.

mod chunk;
mod gradient_clipping;
mod lbfgs;
mod learning_rate_schedule;
mod line_search;
mod optimizer;
mod tree_sum;
mod weight_average;

pub use gradient_clipping::clip_gradients;
pub use lbfgs::slope;
pub use learning_rate_schedule::Schedule;
pub use optimizer::Optimizer;
pub use tree_sum::{tree_sum, tree_sum_gradients};
pub use weight_average::WeightAverage;
