use super::verdict::{Verdict, brief};
use std::collections::VecDeque;

/// Lines that the next one is compared with.
const WINDOW: usize = 12;

/// Standard deviations.
const Z: f64 = 6.0;

/// Above their mean, at least, relative to it.
const SHARE: f64 = 0.15;

/// A loss far above those just before.
#[derive(Debug, Default)]
pub(super) struct LossSpike(VecDeque<f64>);

impl LossSpike {
    pub(super) fn observe(&mut self, step: u64, loss: f64) -> Option<Verdict> {
        let is_full = self.0.len() == WINDOW;
        let mean = self.0.iter().sum::<f64>() / self.0.len().max(1) as f64;
        let variance = self.0.iter().map(|other| (other - mean).powi(2)).sum::<f64>() / WINDOW as f64;
        let (rise, deviation) = (loss - mean, variance.sqrt());
        self.0.push_back(loss);
        if !is_full {
            return None;
        }
        self.0.pop_front();
        (rise > Z * deviation && rise > SHARE * mean.abs()).then(|| Verdict {
            kind: "loss spike",
            since: step,
            seen: format!(
                "the loss is {}, {} standard deviations above the mean of the {WINDOW} lines before, {}",
                brief(loss),
                brief(rise / deviation.max(1e-9)),
                brief(mean)
            ),
            remedy:
                "clipping (train.clip), a larger optimizer.eps or smaller beta2, or a look at the texts of that step"
                    .to_owned(),
        })
    }
}
