use crate::gradient_clipping::Clipping;
use serde::{Deserialize, Serialize};

/// What the running averages keep of their value in a step.
const ALPHA: f64 = 0.97;
/// Steps that only observe.
const WARM_UP: u64 = 25;
/// Added to the standard deviation.
const EPS: f64 = 1e-6;

/// What ZClip knows of the gradients so far: mean and variance of their norms, running ones after the warm-up. Numbers and order of operations
/// are those of its authors' program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZclipState {
    /// Steps of the warm-up so far.
    steps: u64,
    mean: f64,
    variance: f64,
}

impl ZclipState {
    /// Whether it has seen no gradient.
    pub fn is_empty(&self) -> bool {
        self.steps == 0
    }

    /// The clipping of a gradient with this norm, which it takes note of: above a z-score of `threshold`, the norm that is left lies the
    /// nearer to the mean, the larger it was.
    pub fn clipping(&mut self, threshold: f64, norm: f64) -> Clipping {
        if self.steps < WARM_UP {
            self.steps += 1;
            // Welford's way: no norm has to be kept.
            let (n, deviation) = (self.steps as f64, norm - self.mean);
            self.mean += deviation / n;
            self.variance += (deviation * (norm - self.mean) - self.variance) / n;
            return Clipping::default();
        }
        let deviation = self.variance.sqrt();
        let z = (norm - self.mean) / (deviation + EPS);
        let (clipped, scale) = match z > threshold {
            true => {
                let clipped = self.mean + threshold * deviation / (z / threshold);
                (clipped, clipped / norm)
            }
            false => (norm, 1.0),
        };
        self.mean = ALPHA * self.mean + (1.0 - ALPHA) * clipped;
        self.variance = ALPHA * self.variance + (1.0 - ALPHA) * (clipped - self.mean).powi(2);
        Clipping { scale, ..Clipping::default() }
    }
}
