use crate::{Context, DecodingOptions, LogitsProcessor};

/// Divides scores by the temperature.
#[derive(Debug)]
pub(super) struct Temperature {
    temperature: f64,
}

pub(super) fn new(options: &DecodingOptions) -> Option<Temperature> {
    let temperature = options.config.temperature.filter(|&temperature| temperature != 1.0)?;
    Some(Temperature { temperature })
}

impl LogitsProcessor for Temperature {
    fn process(&self, _: &Context<'_>, scores: &mut [f64]) {
        scores.iter_mut().for_each(|score| *score /= self.temperature);
    }
}
