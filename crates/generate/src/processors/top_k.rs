use crate::{Context, DecodingOptions, LogitsProcessor};

/// Keeps the k most likely tokens, and those that are as likely as the last of them.
#[derive(Debug)]
pub(super) struct TopK {
    k: usize,
}

pub(super) fn new(options: &DecodingOptions) -> Option<TopK> {
    let k = options.config.top_k?.max(options.min_tokens_to_keep());
    Some(TopK { k })
}

impl LogitsProcessor for TopK {
    fn process(&self, _: &Context<'_>, scores: &mut [f64]) {
        if self.k < scores.len() {
            let mut all = scores.to_vec();
            let (_, &mut least, _) = all.select_nth_unstable_by(self.k - 1, |a, b| b.total_cmp(a));
            scores.iter_mut().filter(|score| **score < least).for_each(|score| *score = f64::NEG_INFINITY);
        }
    }
}
