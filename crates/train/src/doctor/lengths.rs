//! How long the sequences of a text are.

use descant_text::Corpus;
use serde::Serialize;
use std::collections::BTreeMap;

/// The lengths of the sources or prompts of a text, where it has them, and of its targets, in tokens.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LengthFacts {
    /// Of sources or prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Distribution>,
    /// Of targets.
    pub target: Distribution,
}

/// How lengths are distributed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Distribution {
    /// Half of the sequences are no longer.
    pub median: u64,
    /// Nine of ten are no longer.
    pub p90: u64,
    /// 99 of 100 are no longer.
    pub p99: u64,
    /// The longest.
    pub longest: u64,
    /// Tokens that each part of the histogram is wide: the first one is of 1 to as many.
    pub width: u64,
    /// Sequences in each part.
    pub histogram: Vec<u64>,
}

/// Parts of a histogram.
const PARTS: u64 = 12;

impl LengthFacts {
    /// None of a continuous text.
    pub(super) fn of(corpus: &Corpus) -> Option<Self> {
        let [source, target] = corpus.length_counts().ok()?;
        Some(Self { source: Distribution::of(&source), target: Distribution::of(&target)? })
    }
}

impl Distribution {
    fn of(counts: &BTreeMap<u64, u64>) -> Option<Self> {
        let (all, longest) = (counts.values().sum::<u64>(), *counts.last_key_value()?.0);
        let up_to = |share: f64| {
            let mut seen = 0;
            let reaches = |(_, count): &(&u64, &u64)| {
                seen += **count;
                seen as f64 >= share * all as f64
            };
            counts.iter().find(reaches).map_or(longest, |(length, _)| *length)
        };
        let width = longest.div_ceil(PARTS).max(1);
        let mut histogram = vec![0; longest.div_ceil(width).max(1) as usize];
        for (length, count) in counts {
            histogram[(length.saturating_sub(1) / width) as usize] += count;
        }
        Some(Self { median: up_to(0.5), p90: up_to(0.9), p99: up_to(0.99), longest, width, histogram })
    }

    /// The histogram as a line of bars.
    pub fn bars(&self) -> String {
        const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let most = self.histogram.iter().copied().max().unwrap_or(1).max(1);
        let bar = |&count: &u64| match count {
            0 => ' ',
            count => BARS[((count * 8).div_ceil(most) as usize - 1).min(7)],
        };
        self.histogram.iter().map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_that_of_its_counts() {
        let found = Distribution::of(&BTreeMap::from([(1, 50), (10, 41), (24, 9)])).unwrap();
        assert_eq!((found.median, found.p90, found.p99, found.longest, found.width), (1, 10, 24, 24, 2));
        assert_eq!(found.histogram, [50, 0, 0, 0, 41, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(found.bars(), "█   ▇      ▂");
        assert_eq!(Distribution::of(&BTreeMap::new()), None);
    }
}
