//! What of the texts a vocabulary is made from: a sample that is spread over all of them, of bounded size, and how often
//! every character occurs in the whole.

use std::cmp::Reverse;

/// Texts of a sample, at most.
const MOST_TEXTS: usize = 400_000;
/// Bytes of a sample, at most.
const MOST_BYTES: usize = 32 << 20;

/// A sample of texts.
pub(super) struct Sample {
    /// Every second, fourth, … text, so that they are not too many.
    pub(super) texts: Vec<String>,
    /// How often each character occurs in all texts, by its number.
    characters: Vec<u64>,
}

impl Sample {
    /// Reads all texts once.
    pub(super) fn of(texts: impl Iterator<Item = String>) -> Self {
        let mut characters = vec![0; char::MAX as usize + 1];
        let (mut kept, mut bytes, mut every) = (Vec::new(), 0, 1);
        for (i, text) in texts.enumerate() {
            text.chars().for_each(|character| characters[character as usize] += 1);
            if i % every != 0 {
                continue;
            }
            bytes += text.len();
            kept.push(text);
            while kept.len() > 1 && (kept.len() > MOST_TEXTS || bytes > MOST_BYTES) {
                every *= 2;
                let mut is_kept = [true, false].into_iter().cycle();
                kept.retain(|_| is_kept.next() == Some(true));
                bytes = kept.iter().map(String::len).sum();
            }
        }
        Self { texts: kept, characters }
    }

    /// The characters with their counts, the most frequent first; among equals, the first in Unicode.
    pub(super) fn characters(&self) -> Vec<(char, u64)> {
        let counted = (0..).zip(&self.characters).filter(|&(_, &count)| count > 0);
        let mut characters: Vec<(char, u64)> =
            counted.filter_map(|(number, &count)| Some((char::from_u32(number)?, count))).collect();
        characters.sort_by_key(|&(character, count)| (Reverse(count), character));
        characters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_over_all_texts_and_every_character_counts() {
        let texts = (0..1_000_000u32).map(|i| if i == 777_777 { "ж".to_owned() } else { i.to_string() });
        let sample = Sample::of(texts);
        assert!((MOST_TEXTS / 2..=MOST_TEXTS).contains(&sample.texts.len()), "{}", sample.texts.len());
        let numbers: Vec<u32> = sample.texts.iter().filter_map(|text| text.parse().ok()).collect();
        let step = numbers[1] - numbers[0];
        assert!(numbers.windows(2).all(|pair| pair[1] - pair[0] == step || pair[0] < 777_777 && pair[1] > 777_777));
        assert!(numbers.last().unwrap() + step >= 1_000_000);
        assert_eq!(sample.characters().last(), Some(&('ж', 1)));
        let long = Sample::of((0..100).map(|_| "x".repeat(1 << 20)));
        assert!(long.texts.iter().map(String::len).sum::<usize>() <= MOST_BYTES);
        assert_eq!(long.characters(), [('x', 100 << 20)]);
    }
}
