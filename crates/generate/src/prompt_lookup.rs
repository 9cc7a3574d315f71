//! Prompt lookup decoding (Yang et al. 2023, arXiv 2304.04487; Saxena 2023): speculative decoding whose draft is what followed the
//! same n-gram before, in the text or in the source.

/// Up to `count` tokens that followed the last occurrence of the longest n-gram, of up to `longest` tokens, with which the text
/// ends: in the text itself, or else in the source.
pub(crate) fn draft<'a>(source: &'a [u32], text: &'a [u32], longest: usize, count: usize) -> &'a [u32] {
    for n in (1..=longest.min(text.len())).rev() {
        let end = &text[text.len() - n..];
        for tokens in [text, source] {
            // At least one token follows.
            let before = &tokens[..tokens.len().saturating_sub(1)];
            if let Some(at) = before.windows(n).rposition(|window| window == end) {
                let following = &tokens[at + n..];
                return &following[..following.len().min(count)];
            }
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::draft;

    #[test]
    fn the_longest_n_gram_counts_and_its_last_occurrence_and_the_text_before_the_source() {
        assert_eq!(draft(&[], &[1, 2, 3, 1, 2], 3, 9), [3, 1, 2]);
        assert_eq!(draft(&[], &[1, 2, 3, 1, 2], 3, 2), [3, 1]);
        assert_eq!(draft(&[], &[4, 2, 5, 6, 2, 7, 2], 1, 1), [7]);
        assert_eq!(draft(&[9, 8, 2, 5], &[2, 6, 8, 2], 2, 9), [5]);
        assert_eq!(draft(&[9, 8, 2, 5], &[2, 6, 8, 2], 1, 9), [6, 8, 2]);
        assert_eq!(draft(&[7, 2], &[2], 3, 9), [0; 0]);
        assert_eq!(draft(&[], &[], 3, 9), [0; 0]);
    }
}
