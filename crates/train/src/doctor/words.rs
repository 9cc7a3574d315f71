//! Texts as their words alone: without case, punctuation and spaces, by which near duplicates are found.

use descant_text::hash;

/// Whether a script puts no spaces between words: then each character is taken for one.
fn stands_alone(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The words of a text in lower case, without punctuation.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    for c in text.chars() {
        if stands_alone(c) {
            end(&mut word);
            word.push(c);
            end(&mut word);
        } else if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        } else if c.is_whitespace() {
            end(&mut word);
        }
    }
    end(&mut word);
    words
}

/// The hash of each of these words.
pub(super) fn hashes(words: &[String]) -> Vec<u64> {
    words.iter().map(|word| hash(word.as_str())).collect()
}

/// The hash of what is left of a text without each of its words in turn: two texts that differ by one word have one of these in common.
pub(super) fn without_each(words: &[u64]) -> Vec<u64> {
    // A polynomial over the words before and after.
    const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut before = 0_u64;
    let mut after = vec![0_u64; words.len() + 1];
    let mut powers = vec![1_u64; words.len() + 1];
    for i in (0..words.len()).rev() {
        let power = powers[words.len() - 1 - i];
        after[i] = after[i + 1].wrapping_add(words[i].wrapping_mul(power));
        powers[words.len() - i] = power.wrapping_mul(BASE);
    }
    (0..words.len())
        .map(|i| {
            let rest = words.len() - 1 - i;
            let found = before.wrapping_mul(powers[rest]).wrapping_add(after[i + 1]);
            before = before.wrapping_mul(BASE).wrapping_add(words[i]);
            hash(&(words.len() - 1, found))
        })
        .collect()
}

/// Where two texts of as many words differ, if it is in at most one word.
pub(super) fn one_apart(one: &[u64], other: &[u64]) -> Option<Option<usize>> {
    let mut different = (0..one.len()).filter(|&i| one.len() == other.len() && one[i] != other[i]);
    let first = different.next();
    (one.len() == other.len() && different.next().is_none()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_punctuation_and_spaces_do_not_count() {
        assert_eq!(words("It's  a Well-known  fact."), ["its", "a", "wellknown", "fact"]);
        assert_eq!(words("我是 Tom。"), ["我", "是", "tom"]);
        assert_eq!(words(" … "), Vec::<String>::new());
    }

    #[test]
    fn texts_that_differ_by_one_word_share_a_hash() {
        let of = |text: &str| hashes(&words(text));
        let (one, other) = (of("a red house on the hill"), of("a blue house on the hill"));
        let (mine, theirs) = (without_each(&one), without_each(&other));
        assert_eq!((0..6).filter(|&i| mine[i] == theirs[i]).collect::<Vec<_>>(), [1]);
        assert!(!without_each(&of("a blue house on a hill")).contains(&mine[1]));
        assert_eq!(one_apart(&one, &other), Some(Some(1)));
        assert_eq!((one_apart(&one, &one), one_apart(&one, &of("a b"))), (Some(None), None));
        assert_eq!(without_each(&of("house on"))[1], without_each(&of("house at"))[1]);
    }
}
