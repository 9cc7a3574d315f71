//! The learning-rate range test (Smith 2017, arXiv 1506.01186): a training is begun while the rate grows exponentially from step to step,
//! and the curve of its loss tells a rate.

mod curve;
mod rise;

use crate::{Error, Event, Trainer};
use curve::{Curve, rounded};
use descant_hyperparameters::ScheduleConfig;
use descant_hyperparameters::schedules::Exponential;
use descant_inference::{NonFinite, Recipe};
use descant_optim::Schedule;
use rise::Rise;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// The rates that are tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeTestConfig {
    from: f64,
    to: f64,
    steps: u64,
}

impl Default for RangeTestConfig {
    fn default() -> Self {
        Self { from: 1e-7, to: 10.0, steps: 200 }
    }
}

impl RangeTestConfig {
    /// The fewest steps that a curve can be read from.
    pub const LEAST_STEPS: u64 = 20;

    /// The most: smoothing takes time in proportion to their square.
    pub const MOST_STEPS: u64 = 20_000;

    /// So many steps between two rates.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn new(from: f64, to: f64, steps: u64) -> Result<Self, String> {
        let least = Self::LEAST_STEPS;
        // Weights are numbers in f32, and so is what a step adds to them.
        if !(from >= f64::from(f32::MIN_POSITIVE) && from < to && to <= f64::from(f32::MAX)) {
            return Err(format!(
                "the rates go from {from:e} to {to:e}: expected a number from 1.2e-38 on, and a larger one up to 3.4e38"
            ));
        }
        match (least..=Self::MOST_STEPS).contains(&steps) {
            true => Ok(Self { from, to, steps }),
            false => {
                Err(format!("{steps} steps: expected from {least}, as a curve needs them, to {}", Self::MOST_STEPS))
            }
        }
    }
}

/// What a range test found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RangeTest {
    /// The loss at each rate.
    pub points: Vec<RangePoint>,
    /// How it ended.
    pub end: RangeEnd,
    /// The rate at which the loss falls the steepest; none where it does not fall by more than batches differ.
    pub steepest: Option<f64>,
    /// The rate of the lowest loss; none where the loss does not fall, or falls up to the end of the range.
    pub minimum: Option<f64>,
    /// The smaller of the rate of the steepest descent and a tenth of that of the lowest loss; none where there are neither.
    pub suggestion: Option<f64>,
}

/// A step of a range test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RangePoint {
    /// The learning rate of the steps before it.
    pub learning_rate: f64,
    /// The loss of its batch, per target token, in nats.
    pub loss: f64,
    /// The loss of a line through the steps around it.
    pub smoothed: f64,
}

/// How a range test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RangeEnd {
    /// All rates were tried.
    Complete,
    /// The loss rose to four times its lowest value; of losses near 0 or below, above the first by as much as it had fallen.
    Risen,
    /// A loss or a gradient was not finite.
    NotFinite,
    /// It was asked to stop.
    Stopped,
}

/// Begins the recipe's training, each step at a higher rate than the one before, in place of those of its schedule; leaves no run.
///
/// # Errors
/// As [`Trainer::new`] and [`Trainer::step`]; a divergence is none.
pub fn range_test(
    recipe: &Recipe,
    config: &RangeTestConfig,
    threads: usize,
    stop: &AtomicBool,
    mut watch: impl FnMut(&Event),
) -> Result<RangeTest, Error> {
    if recipe.optimizer.history_size().is_some() {
        let reason =
            "optimizer.kind = \"lbfgs\" searches the length of its steps itself: train.learning_rate = 1.0 is right";
        return Err(recipe.wrong(reason).into());
    }
    let RangeTestConfig { from, to, steps } = *config;
    let (_folder, mut trainer) = Trainer::temporary(recipe.clone(), threads)?;
    trainer.notes().iter().for_each(|note| log::info!("{note}"));
    let growth = (to / from).powf(1.0 / (steps - 1) as f64);
    trainer.recipe.train.learning_rate = from;
    trainer.recipe.train.non_finite = NonFinite::Stop;
    trainer.reader.batches.end_warmup();
    trainer.schedule = Schedule::new(ScheduleConfig::Exponential(Exponential { gamma: growth }), steps);
    let (mut rates, mut losses) = (Vec::new(), Vec::new());
    let mut rise = Rise::default();
    let mut end = RangeEnd::Complete;
    for step in 1..=steps {
        if stop.load(Ordering::Relaxed) {
            end = RangeEnd::Stopped;
            break;
        }
        let found = match trainer.step() {
            Err(Error::Diverged { .. }) => {
                end = RangeEnd::NotFinite;
                break;
            }
            found => found?,
        };
        watch(&Event::Step { step, steps, loss: found.loss, tokens: found.tokens });
        let Some(loss) = found.loss else { continue };
        rates.push(found.learning_rate);
        losses.push(loss);
        if rise.observe(loss) {
            end = RangeEnd::Risen;
            break;
        }
    }
    let curve = Curve::new(&rates, &losses, steps);
    let steepest = curve.steepest();
    let minimum = steepest.and_then(|_| curve.minimum(end == RangeEnd::Complete));
    let of_minimum = minimum.map(|rate| rate / 10.0);
    let suggestion = [steepest, of_minimum].into_iter().flatten().reduce(f64::min).map(rounded);
    let points = rates.iter().zip(&losses).zip(curve.smoothed());
    let points = points.map(|((&learning_rate, &loss), smoothed)| RangePoint { learning_rate, loss, smoothed });
    Ok(RangeTest { points: points.collect(), end, steepest, minimum, suggestion })
}
