use super::losses::Losses;
use super::streak::Streak;
use super::verdict::{Verdict, brief};
use crate::gradient_flow::GradientFlow;

/// Lines in a row.
const TIMES: u32 = 4;

/// How far above the loss of a uniform guess: regularisation adds to the loss too.
const ABOVE: f64 = 1.2;

/// Lines before which it is too early to say that the rate is too low.
const EARLY: u32 = 10;

/// The update-to-weight ratio below which a step changes nothing that a thousand of them would not.
const LEAST: f32 = 1e-5;

/// The median of the update-to-weight ratios of all parameters.
fn median_ratio(flow: &GradientFlow) -> Option<f32> {
    let mut ratios: Vec<f32> = flow.values().filter_map(|flow| flow.ratio()).collect();
    ratios.sort_by(f32::total_cmp);
    ratios.get(ratios.len() / 2).copied()
}

fn updates(ratio: Option<f32>) -> String {
    ratio.map_or_else(String::new, |ratio| format!("; a step moves weights by {} of their size", brief(ratio.into())))
}

/// A loss that rises, and stays risen, or is above that of a uniform guess.
#[derive(Debug, Default)]
pub(super) struct TooHigh {
    /// The loss of a uniform guess, `ln V`, where the loss is a likelihood.
    uniform: Option<f64>,
    losses: Option<Losses>,
    ratio: Option<f32>,
    streak: Streak,
}

impl TooHigh {
    pub(super) fn new(uniform: Option<f64>) -> Self {
        Self { uniform, ..Self::default() }
    }

    pub(super) fn flow(&mut self, flow: &GradientFlow) {
        self.ratio = median_ratio(flow);
    }

    pub(super) fn loss(&mut self, step: u64, loss: f64) -> Option<Verdict> {
        let losses = *self.losses.insert(Losses::with(self.losses, step, loss));
        let above = self.uniform.filter(|uniform| loss > ABOVE * uniform);
        let since = self.streak.observe(step, above.is_some() || losses.has_risen(), TIMES)?;
        let seen = match above {
            Some(uniform) => format!(
                "the loss is {}, above that of a uniform guess over the vocabulary, {}",
                brief(loss),
                brief(uniform)
            ),
            None => format!(
                "the loss was {} at step {}, is {} and stays there",
                brief(losses.lowest),
                losses.lowest_step,
                brief(loss)
            ),
        };
        Some(Verdict {
            kind: "learning rate too high",
            since,
            seen: seen + &updates(self.ratio),
            remedy: "a third of train.learning_rate, a longer warm-up (schedule.warmup), or clipping (train.clip)"
                .to_owned(),
        })
    }
}

/// Steps that move next to nothing.
#[derive(Debug, Default)]
pub(super) struct TooLow {
    lines: u32,
    start: Option<Losses>,
    largest: Option<f32>,
    told: bool,
}

impl TooLow {
    pub(super) fn flow(&mut self, flow: &GradientFlow) {
        self.largest = self.largest.into_iter().chain(median_ratio(flow)).reduce(f32::max);
    }

    pub(super) fn loss(&mut self, step: u64, loss: f64) -> Option<Verdict> {
        let start = *self.start.get_or_insert_with(|| Losses::with(None, step, loss));
        self.lines += 1;
        // Where it has risen, it is another fault, such as saturated gates, that leaves no gradient.
        let is_seen = self.lines > EARLY && loss <= start.limit() && !self.told;
        let ratio = self.largest.filter(|&ratio| ratio < LEAST && is_seen)?;
        self.told = true;
        Some(Verdict {
            kind: "learning rate too low",
            since: 1,
            seen: format!(
                "no step so far, to {step}, has moved weights by more than {} of their size; the loss was {} and is {}",
                brief(ratio.into()),
                brief(start.first),
                brief(loss)
            ),
            remedy: "ten times train.learning_rate, or a shorter warm-up (schedule.warmup)".to_owned(),
        })
    }
}
