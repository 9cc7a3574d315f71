use crate::distribution::{entropy, keep, most_likely_first};
use crate::{Context, DecodingOptions, LogitsProcessor};

/// The most tokens that are looked at, as in transformers.
const MOST: usize = 100;

/// Keeps the most likely tokens up to a share of the entropy.
#[derive(Debug)]
pub(super) struct TopH {
    share: f64,
}

pub(super) fn new(options: &DecodingOptions) -> Option<TopH> {
    Some(TopH { share: options.config.top_h? })
}

impl LogitsProcessor for TopH {
    fn process(&self, _: &Context<'_>, scores: &mut [f64]) {
        let mut tokens = most_likely_first(scores);
        tokens.truncate(MOST);
        // The most likely tokens alone are the distribution.
        let total = tokens.iter().map(|(_, log)| log.exp()).sum::<f64>().ln();
        let logs = || tokens.iter().map(|(_, log)| log - total);
        let threshold = entropy(logs()) * self.share;
        let mut sum = 0.0;
        let kept = logs().take_while(|log| {
            sum += entropy([*log].into_iter());
            sum <= threshold
        });
        let kept = kept.count().max(1).min(tokens.len());
        keep(scores, &tokens[..kept]);
    }
}
