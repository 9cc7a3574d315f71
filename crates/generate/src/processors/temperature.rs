use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// Divides scores by the temperature.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let temperature = options.config.temperature.filter(|&temperature| temperature != 1.0)?;
    Some(Arc::new(move |_: &Context<'_>, scores: &mut [f64]| {
        scores.iter_mut().for_each(|score| *score /= temperature);
    }))
}
