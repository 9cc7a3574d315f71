//! Span corruption (Raffel et al. 2020, arXiv 1910.10683): spans of a text's tokens are left out, drawn anew in every epoch, and a sentinel stands in the
//! place of each. What is to be written are these spans, each after its sentinel, and one more sentinel after the last.

use crate::draw::below;
use crate::{TextError, Tokenizer};
use rand_pcg::Pcg64;

/// Sentinels that a tokenizer gets: as many as T5's has.
const SENTINELS: usize = 100;

/// Span corruption of the ids of a tokenizer.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanCorruption {
    rate: f64,
    mean: f64,
    sentinels: Vec<u32>,
    has_encoder: bool,
}

impl SpanCorruption {
    /// The names of the sentinels, which are T5's.
    pub fn sentinels() -> Vec<String> {
        (0..SENTINELS).map(|i| format!("<extra_id_{i}>")).collect()
    }

    /// Leaves out this share of the tokens, in spans of so many on average. An encoder reads what is left, or else it is a prompt.
    ///
    /// # Errors
    /// Where the tokenizer lacks sentinels.
    pub fn new(rate: f64, mean: f64, tokenizer: &Tokenizer, has_encoder: bool) -> Result<Self, TextError> {
        let sentinels: Vec<u32> = Self::sentinels().iter().filter_map(|name| tokenizer.id(name)).collect();
        match sentinels.len() < SENTINELS {
            true => Err(TextError::Tokenizer("it lacks the sentinels <extra_id_0> to <extra_id_99>".to_owned())),
            false => Ok(Self { rate, mean, sentinels, has_encoder }),
        }
    }

    /// Whether what is left is read by an encoder.
    pub(crate) fn has_encoder(&self) -> bool {
        self.has_encoder
    }

    /// The tokens of what is left and of what is to be written, of a text of so many.
    pub(crate) fn lengths(&self, tokens: usize) -> [usize; 2] {
        lengths(self.rate, self.mean, tokens)
    }

    /// The longest text of which a model has positions for all that it reads and writes, where it has so many; at most as many tokens as these.
    pub fn longest(rate: f64, mean: f64, has_encoder: bool, positions: usize) -> usize {
        let fits = |tokens: usize| {
            let [left, written] = lengths(rate, mean, tokens);
            if has_encoder { left.max(written) <= positions } else { left + written <= positions }
        };
        // Its sentinels are at most so many, on both sides.
        let least = positions.saturating_sub(2 * SENTINELS);
        (least..=positions).rev().find(|&tokens| fits(tokens)).unwrap_or(least)
    }

    /// What is left of a text, and what is to be written, as this seed draws it.
    pub fn corrupt(&self, ids: &[u32], seed: u64) -> [Vec<u32>; 2] {
        self.apply(ids, &mut Pcg64::new(u128::from(seed), 0))
    }

    /// What is left of a text, and what is to be written.
    pub(crate) fn apply(&self, ids: &[u32], random: &mut Pcg64) -> [Vec<u32>; 2] {
        if ids.is_empty() {
            return [Vec::new(), Vec::new()];
        }
        let [lost, spans] = count(self.rate, self.mean, ids.len());
        let lengths = parts(lost, spans, random);
        // The first and the last of what is between them may be empty.
        let between = parts(ids.len() - lost + 2, spans + 1, random);
        let [left, written] = self.lengths(ids.len());
        let (mut left, mut written) = (Vec::with_capacity(left), Vec::with_capacity(written));
        let mut rest = ids;
        for (i, (&sentinel, length)) in self.sentinels.iter().zip(lengths).enumerate() {
            let (kept, others) = rest.split_at(between[i] - usize::from(i == 0));
            let (span, others) = others.split_at(length);
            left.extend_from_slice(kept);
            left.push(sentinel);
            written.push(sentinel);
            written.extend_from_slice(span);
            rest = others;
        }
        left.extend_from_slice(rest);
        written.push(self.sentinels[spans]);
        [left, written]
    }
}

/// How many tokens of so many are left out, and in how many spans. Between two spans there is a token at least.
fn count(rate: f64, mean: f64, tokens: usize) -> [usize; 2] {
    let lost = ((tokens as f64 * rate).round() as usize).clamp(1, tokens.max(1));
    let spans = ((lost as f64 / mean).round() as usize).clamp(1, lost);
    [lost, spans.min((tokens + 1).saturating_sub(lost).max(1)).min(SENTINELS - 1)]
}

fn lengths(rate: f64, mean: f64, tokens: usize) -> [usize; 2] {
    let [lost, spans] = count(rate, mean, tokens);
    [(tokens + spans).saturating_sub(lost), lost + spans + 1]
}

/// Cuts a number of things into so many parts of one at least: all ways are equally likely.
fn parts(total: usize, count: usize, random: &mut Pcg64) -> Vec<usize> {
    let (mut parts, mut length, mut wanted) = (Vec::with_capacity(count), 1, count - 1);
    for place in 1..total {
        // Of the places that are left, as many are cuts as are still wanted.
        if below(random, (total - place) as u64) < wanted as u64 {
            parts.push(length);
            (length, wanted) = (0, wanted - 1);
        }
        length += 1;
    }
    parts.push(length);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corruption(rate: f64, mean: f64) -> SpanCorruption {
        SpanCorruption { rate, mean, sentinels: (1000..1100).collect(), has_encoder: true }
    }

    /// What a reader makes of both.
    fn restored([left, written]: &[Vec<u32>; 2]) -> Vec<u32> {
        let span = |sentinel: u32| {
            let start = written.iter().position(|id| *id == sentinel).unwrap() + 1;
            written[start..].iter().take_while(|id| **id < 1000).copied().collect::<Vec<_>>()
        };
        left.iter().flat_map(|&id| if id < 1000 { vec![id] } else { span(id) }).collect()
    }

    #[test]
    fn both_sides_make_the_text_and_have_the_lengths_that_were_told() {
        for (rate, mean) in [(0.15, 3.0), (0.5, 1.0), (0.01, 30.0), (0.99, 1.0), (0.3, 100.0)] {
            let corruption = corruption(rate, mean);
            for tokens in (1..60).chain([300, 1000]) {
                let ids: Vec<u32> = (0..tokens).collect();
                for seed in 0..20 {
                    let both = corruption.apply(&ids, &mut Pcg64::new(seed, 1));
                    assert_eq!(restored(&both), ids, "{rate} {mean} {tokens}");
                    assert_eq!([both[0].len(), both[1].len()], corruption.lengths(tokens as usize));
                    let sentinels = |side: &[u32]| side.iter().filter(|id| **id >= 1000).copied().collect::<Vec<_>>();
                    let [left, written] = [&both[0], &both[1]].map(|side| sentinels(side));
                    assert!(written[..left.len()] == left[..] && written.len() == left.len() + 1);
                    assert!(left.iter().zip(1000..).all(|(id, expected)| *id == expected));
                    assert!(both[0].windows(2).all(|pair| pair.iter().any(|id| *id < 1000)), "a token between spans");
                }
                let most = corruption.lengths(tokens as usize).into_iter().max().unwrap();
                let fitting = SpanCorruption::longest(rate, mean, true, most);
                assert!(fitting >= tokens as usize || tokens as usize > most, "{fitting} of {tokens}");
                let longest = SpanCorruption::longest(rate, mean, true, tokens as usize);
                assert!(longest == 0 || corruption.lengths(longest).iter().all(|length| *length <= tokens as usize));
            }
        }
    }

    #[test]
    fn shares_and_spans_are_those_asked_for_and_every_place_is_as_likely() {
        let corruption = corruption(0.15, 3.0);
        let ids: Vec<u32> = (0..200).collect();
        let (mut lost, mut lengths, mut at) = (0, Vec::new(), vec![0; 200]);
        for seed in 0..2000 {
            let [left, written] = corruption.apply(&ids, &mut Pcg64::new(seed, 1));
            lost += 200 - left.iter().filter(|id| **id < 1000).count();
            lengths.extend(written.split(|id| *id >= 1000).skip(1).map(<[u32]>::len).filter(|length| *length > 0));
            written.iter().filter(|id| **id < 1000).for_each(|&id| at[id as usize] += 1);
        }
        assert_eq!(lost, 2000 * 30);
        assert_eq!(lengths.len(), 2000 * 10);
        assert!(lengths.iter().max() > Some(&8) && lengths.contains(&1));
        // Within a few standard deviations; at the ends too.
        let share = |count: usize| count as f64 / 2000.0;
        assert!(at[10..190].iter().all(|&count| (share(count) - 0.15).abs() < 0.05), "{at:?}");
        assert!(share(at[0]) > 0.02 && share(at[199]) > 0.02, "{} {}", at[0], at[199]);
    }
}
