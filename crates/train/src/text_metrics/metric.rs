use super::prediction::Prediction;
use super::unit::TextUnit;

/// A metric of generated texts against their references.
#[derive(Clone, Copy, Debug)]
pub struct TextMetric {
    /// Its name, and its key in JSON.
    pub name: &'static str,
    /// Its value, from 0; 0 for no predictions.
    pub score: fn(&[Prediction], TextUnit) -> f64,
    /// What its percentage is a share of, from the number of predictions and the unit.
    pub share_of: fn(usize, TextUnit) -> String,
}
